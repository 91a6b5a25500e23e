"""How a function of a program gets a name by which a worker imports it."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from dagrun.domain.specs import python


@pytest.fixture
def work(monkeypatch):
    """Give a function of a program whose module is made up."""

    def make(**attributes):
        main = ModuleType("__main__")
        vars(main).update(attributes)
        monkeypatch.setitem(sys.modules, "__main__", main)
        return function

    def function():
        return {}

    function.__module__, function.__qualname__ = "__main__", "work"
    return make


@pytest.mark.parametrize(
    ("main", "name"),
    [
        ({"__file__": "/somewhere/darts.py", "__spec__": None}, "darts:work"),
        ({"__spec__": SimpleNamespace(name="games.darts")}, "games.darts:work"),
        ({"__spec__": SimpleNamespace(name="games.__main__")}, "games:work"),
    ],
    ids=["python darts.py", "python -m games.darts", "python -m games"],
)
def test_a_function_of_the_program_is_named_as_a_worker_can_import_it(work, main, name):
    assert python(work(**main)).options["callable"] == name


@pytest.mark.parametrize("main", [{}, {"__file__": "<stdin>"}, {"__file__": "/dev/stdin"}])
def test_a_function_that_was_typed_in_has_no_file_and_runs_inline_only(work, main):
    function = work(**main)
    with pytest.raises(ValueError, match="in no file that a worker could import"):
        python(function)
    assert python(function, isolation="inline").options["callable"] == "__main__:work"

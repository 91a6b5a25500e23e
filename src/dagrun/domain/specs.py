"""Short ways to say in Python what carries out a node."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dagrun.domain.workflow import ExecutorSpec


def lua(code: str) -> ExecutorSpec:
    """Run a piece of Lua.

    >>> lua("return {rows = 3}").type
    'lua'
    """
    return ExecutorSpec(type="lua", options={"code": code})


def shell(
    command: str | Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: str | None = None,
) -> ExecutorSpec:
    """Run a program: a list of arguments, or a text for ``sh -c``.

    >>> shell(["wc", "-l", "data.csv"]).options
    {'command': ['wc', '-l', 'data.csv']}
    """
    given = {"env": dict(env) if env else None, "cwd": cwd, "stdin": stdin}
    told = {name: value for name, value in given.items() if value is not None}
    return ExecutorSpec(
        type="shell",
        options={"command": command if isinstance(command, str) else list(command), **told},
    )


def http(url: str, **options: Any) -> ExecutorSpec:
    """Send an HTTP request; the options are those of a document: ``method``, ``headers``, ``json``.

    >>> http("https://example.org/things", method="POST", json={"n": 1}).options["method"]
    'POST'
    """
    return ExecutorSpec(type="http", options={"url": url, **options})


def python(
    function: Callable[..., Any] | str,
    *,
    cwd: str | None = None,
    isolation: Literal["process", "inline"] = "process",
) -> ExecutorSpec:
    """Call a Python function with the node's inputs as keyword arguments.

    Args:
        function: one that can be imported by its name, or ``package.module:function``.
        cwd: working directory, relative to the program; without it the run's scratch directory.
        isolation: ``process`` runs it in a worker, which can be stopped; ``inline`` in this very
            process, where it sees the program's objects, and must be async or quick.

    Raises:
        ValueError: the function cannot be found by a name, as a lambda or a nested function.
    """
    name = function if isinstance(function, str) else _name(function, isolation)
    options = {"callable": name, "isolation": isolation}
    if cwd is not None:
        options["cwd"] = cwd
    return ExecutorSpec(type="python", options=options)


def _name(function: Callable[..., Any], isolation: str) -> str:
    module, path = function.__module__, function.__qualname__
    if "<" in path:
        raise ValueError(f"{path} has no name to import it by; define it at the top of a module")
    if module == "__main__" and isolation == "process":
        module = _main_module(path)
    return f"{module}:{path}"


def _main_module(path: str) -> str:
    """Give the name by which a worker imports the program that runs."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    if file is None:
        raise ValueError(f"{path} is in no file that a worker could import; use isolation='inline'")
    return Path(file).stem

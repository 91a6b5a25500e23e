import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from dagrun.errors import PluginConflict, UnknownPlugin
from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.loading import load_plugins


@pytest.fixture
def plugin(monkeypatch):
    """Make an importable plugin module, and give its entry point."""

    def make(name, **hooks):
        module = ModuleType(f"fake_{name}")
        vars(module).update({name: hookimpl(hook) for name, hook in hooks.items()})
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, "dagrun")

    return make


def adds(kind, name, factory=dict):
    return lambda registry: getattr(registry, kind).add(name, factory)


def test_a_plugin_fills_its_shelf_and_is_named_on_it(plugin):
    loaded = load_plugins([plugin("one", dagrun_register=adds("executors", "x"))])
    assert loaded.registry.executors.get("x") is dict
    assert [(e.name, e.plugin) for e in loaded.registry.executors] == [("x", "one")]


def test_a_taken_name_stops_the_start_and_names_both_plugins(plugin):
    points = [plugin(name, dagrun_register=adds("executors", "x")) for name in ("one", "two")]
    with pytest.raises(PluginConflict, match=r"two and one both add the executor 'x'"):
        load_plugins(points)


def test_a_misspelt_hook_stops_the_start(plugin):
    with pytest.raises(PluginConflict, match="dagrun_registr"):
        load_plugins([plugin("one", dagrun_registr=adds("executors", "x"))])


def test_a_hook_with_other_arguments_stops_the_start(plugin):
    with pytest.raises(PluginConflict, match="one"):
        load_plugins([plugin("one", dagrun_register=lambda shelves: None)])


def test_a_hook_that_is_not_marked_is_not_called_and_its_plugin_is_listed(plugin):
    point = plugin("one")
    vars(sys.modules["fake_one"])["dagrun_register"] = adds("executors", "x")
    loaded = load_plugins([point])
    assert "x" not in loaded.registry.executors
    assert "mark dagrun_register with @hookimpl" in loaded.broken()[0].error


def test_each_hook_is_called_once_and_may_take_no_argument(plugin):
    called = []
    load_plugins([plugin(n, dagrun_register=lambda n=n: called.append(n)) for n in ("a", "b")])
    assert called == ["a", "b"]


def test_a_plugin_that_cannot_be_imported_is_skipped_and_listed(plugin):
    good = plugin("one", dagrun_register=adds("executors", "x"))
    loaded = load_plugins([EntryPoint("gone", "no_such_module_at_all", "dagrun"), good])
    assert [p.name for p in loaded.broken()] == ["gone"]
    assert "no_such_module_at_all" in loaded.broken()[0].error
    assert "x" in loaded.registry.executors


def test_an_unknown_name_lists_what_is_installed(plugin):
    loaded = load_plugins([plugin("one", dagrun_register=adds("executors", "x"))])
    with pytest.raises(UnknownPlugin, match="no executor is called 'y'; installed: x"):
        loaded.registry.executors.get("y")


def test_a_plugin_that_cannot_be_imported_takes_nothing_away_from_its_namesake(plugin):
    good = plugin("one", dagrun_register=adds("executors", "x"))
    loaded = load_plugins([good, EntryPoint("one", "no_such_module_at_all", "dagrun")])
    assert [plugin.name for plugin in loaded.broken()] == ["one"]
    assert [entry.name for entry in loaded.registry.executors] == ["x"]


@pytest.mark.parametrize("error", [LookupError("no luck"), SystemExit("no luck")])
def test_a_plugin_whose_hook_fails_is_listed_and_leaves_nothing(plugin, error):
    def fails(registry):
        registry.executors.add("half", dict)
        raise error

    good = plugin("two", dagrun_register=adds("executors", "x"))
    loaded = load_plugins([plugin("one", dagrun_register=fails), good])
    assert [(p.name, "no luck" in p.error) for p in loaded.broken()] == [("one", True)]
    assert [entry.name for entry in loaded.registry.executors] == ["x"]

"""The ``lua`` executor: node code in sandboxed worker processes that are used again."""

from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry
from dagrun_lua.executor import LuaExecutor, LuaOptions

__all__ = ["LuaExecutor", "LuaOptions", "dagrun_register"]


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put the executor on its shelf."""
    registry.executors.add("lua", LuaExecutor)

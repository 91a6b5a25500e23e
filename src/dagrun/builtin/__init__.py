"""What comes with the core. It registers through the same hooks as any other plugin."""

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.python import PythonExecutor
from dagrun.builtin.secrets import EnvSecrets, FileSecrets
from dagrun.builtin.shell import ShellExecutor
from dagrun.builtin.sqlite import SqliteStore
from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put the built-in executors, stores and providers of secrets on their shelves."""
    registry.executors.add("shell", ShellExecutor)
    registry.executors.add("python", PythonExecutor)
    registry.stores.add("sqlite", SqliteStore)
    registry.stores.add("memory", MemoryStore)
    registry.secrets.add("env", EnvSecrets)
    registry.secrets.add("file", FileSecrets)

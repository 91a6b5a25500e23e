"""What comes with the core. It registers through the same hooks as any other plugin."""

from dagrun.builtin.balancers import ConsistentHash, LeastLoaded, RoundRobin
from dagrun.builtin.child_runs import WorkflowExecutor
from dagrun.builtin.discovery import DnsDiscovery, RegisterDiscovery, StaticDiscovery
from dagrun.builtin.http import HttpExecutor
from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.memory_transport import MemoryTransport
from dagrun.builtin.python import PythonExecutor
from dagrun.builtin.secrets import EnvSecrets, FileSecrets
from dagrun.builtin.shell import ShellExecutor
from dagrun.builtin.sqlite import SqliteStore
from dagrun.builtin.subscribers import LogSubscriber
from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put the built-in executors, stores, balancers, discoveries and so on on their shelves."""
    registry.executors.add("shell", ShellExecutor)
    registry.executors.add("python", PythonExecutor)
    registry.executors.add("http", HttpExecutor)
    registry.executors.add("workflow", WorkflowExecutor)
    registry.stores.add("sqlite", SqliteStore)
    registry.stores.add("memory", MemoryStore)
    registry.balancers.add("consistent-hash", ConsistentHash)
    registry.balancers.add("round-robin", RoundRobin)
    registry.balancers.add("least-loaded", LeastLoaded)
    registry.balancers.add("least-connections", LeastLoaded)
    registry.discoveries.add("static", StaticDiscovery)
    registry.discoveries.add("register", RegisterDiscovery)
    registry.discoveries.add("dns", DnsDiscovery)
    registry.secrets.add("env", EnvSecrets)
    registry.secrets.add("file", FileSecrets)
    registry.transports.add("memory", MemoryTransport)
    registry.subscribers.add("log", LogSubscriber)

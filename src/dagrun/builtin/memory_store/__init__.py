"""The store ``memory``: the same as SQLite, but gone with the process. For tests."""

from dagrun.builtin.memory_store.store import MemoryStore

__all__ = ["MemoryStore"]

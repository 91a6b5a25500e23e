"""The store of one machine: an SQLite file."""

from dagrun.builtin.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]

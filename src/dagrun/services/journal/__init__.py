"""The one writer of a store."""

from dagrun.services.journal.journal import Journal, JournalStatistics

__all__ = ["Journal", "JournalStatistics"]

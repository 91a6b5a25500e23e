"""Which of several orchestrators with one data directory leads."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from dagrun.builtin.leadership import LeaderExists, LeaderLock

LOOK: Final = 0.5  # seconds between tries to become the orchestrator

_log: Final = logging.getLogger(__name__)


@asynccontextmanager
async def lead(
    data_dir: Path, waits: Callable[[LeaderExists], None] = lambda _: None
) -> AsyncIterator[LeaderLock]:
    """Wait until no other orchestrator leads, and lead for the length of the block.

    Args:
        data_dir: the data directory.
        waits: is told once by whom it is led for now.
    """
    lock, told = LeaderLock(data_dir), False
    while True:
        try:
            lock.__enter__()
            break
        except LeaderExists as error:
            if not told:
                _log.warning("%s; waiting until it ends", error)
                waits(error)
                told = True
            await trio.sleep(LOOK)
    try:
        yield lock
    finally:
        lock.__exit__()

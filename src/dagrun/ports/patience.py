"""Waiting for a store that does not answer now, and will."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from dagrun.errors import StoreBusy, StoreFull

T = TypeVar("T")

PATIENCE: Final = 0.5  # seconds between tries


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until nobody else holds the database, and there is room on its disk."""
    while True:
        try:
            return await call()
        except (StoreBusy, StoreFull):
            await trio.sleep(PATIENCE)

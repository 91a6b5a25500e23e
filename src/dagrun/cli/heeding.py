"""What a role makes of SIGINT and SIGTERM."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from dagrun.cli import output

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def heeding(told: Callable[[], None]) -> AsyncIterator[None]:
    """Heed signals for the length of the block. The second one ends the process at once.

    Args:
        told: is called at the first one.
    """
    async with trio.open_nursery() as nursery:
        await nursery.start(_heed, told)
        yield
        nursery.cancel_scope.cancel()


async def _heed(told: Callable[[], None], *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(*SIGNALS) as received:
        task_status.started()
        await anext(received)
        told()
        await anext(received)
        os._exit(output.INTERRUPTED)

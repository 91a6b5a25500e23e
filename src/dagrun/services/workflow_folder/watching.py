"""Hears of what changes in a folder."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final, NoReturn

import trio

LOOK: Final = 5.0
"""Seconds from one look to the next while nothing is heard. Not all changes are: those that another
machine makes in a folder of the network, and those behind links, are none here."""

_log: Final = logging.getLogger(__name__)


async def watch(folder: Path, look: Callable[[], Awaitable[None]]) -> NoReturn:
    """Call something whenever the folder, or what is below it, may have changed.

    Args:
        folder: it may be gone for a while, and another one may come in its place.
        look: is called at once when the system tells of a change, and each :data:`LOOK` seconds.
    """
    told = False
    while True:
        trouble = await _watch_this(folder, look)
        if trouble is not None:
            if not told and _identity(folder) is not None:
                _log.warning("%s is looked into each %g s only: %s", folder, LOOK, trouble)
                told = True
            await trio.sleep(LOOK)
        await look()


async def _watch_this(folder: Path, look: Callable[[], Awaitable[None]]) -> Exception | None:
    """Watch until another folder is in the place of this one. Give why it cannot be watched."""
    stop, watched = trio.Event(), _identity(folder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_when_cancelled, stop)
        try:
            async with aclosing(_changes(folder, stop)) as changes:
                while watched == _identity(folder):
                    if trouble := await _trouble_with_next(changes):
                        return trouble
                    await look()
        finally:
            nursery.cancel_scope.cancel()
    return None


async def _trouble_with_next(changes: AsyncIterator[object]) -> Exception | None:
    try:
        await anext(changes, None)  # it ends when this is cancelled, before that is told here
    except (OSError, RuntimeError) as error:  # it is gone, or too much is watched already
        return error
    return None


def _changes(folder: Path, stop: trio.Event) -> AsyncGenerator[object, None]:
    """Give something for each change, and each time that nothing was heard for long."""
    from watchfiles import awatch  # noqa: PLC0415 — loaded on use

    return awatch(
        folder,
        watch_filter=None,
        stop_event=stop,
        rust_timeout=int(LOOK * 1000),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )


async def _set_when_cancelled(stop: trio.Event) -> None:
    """End the thread that waits for changes: cancelling does not reach it."""
    try:
        await trio.sleep_forever()
    finally:
        stop.set()


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

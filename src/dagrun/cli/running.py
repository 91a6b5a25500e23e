"""How commands that need the event loop call it."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio

from dagrun.domain.ids import is_id
from dagrun.errors import DagrunError, NoSuchRun
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Store
from dagrun.roles.places import DATABASE
from dagrun.settings import Settings

T = TypeVar("T")


def run_async(call: Callable[[], Awaitable[T]]) -> T:
    """Run a function in a loop of its own, and raise what went wrong first."""
    try:
        # Raised anywhere else, an interrupt could be swallowed by a callback of asyncio.
        return trio.run(call, restrict_keyboard_interrupt_to_checkpoints=True)
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give what went wrong first: an error of dagrun's if there is one."""
    wanted = group.subgroup(DagrunError) or group
    error: BaseException = wanted
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def with_store(
    settings: Settings, registry: Registry, use: Callable[[Store], Coroutine[Any, Any, T]]
) -> T:
    """Open the database of the data directory, and use it."""
    store_type = registry.stores.get("sqlite")

    async def call() -> T:
        async with store_type(path=settings.data_dir / DATABASE) as store:
            return await use(store)

    with naming_directory(settings):
        return run_async(call)


@contextmanager
def naming_directory(settings: Settings) -> Iterator[None]:
    """Say of a run that is not there where it was looked for."""
    try:
        yield
    except NoSuchRun as error:
        raise NoSuchRun(error.run_id, settings.data_dir) from error


def has_database(settings: Settings) -> bool:
    """Whether a run was ever started in the data directory."""
    return (settings.data_dir / DATABASE).exists()


def check_run(settings: Settings, run_id: str) -> None:
    """Refuse what cannot be a run, before anything is opened or made.

    Raises:
        NoSuchRun: the id is none, or there is no database.
    """
    if not is_id(run_id) or not has_database(settings):
        raise NoSuchRun(run_id, settings.data_dir)

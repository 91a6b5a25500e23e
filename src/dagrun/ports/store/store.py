"""All of a store."""

from types import TracebackType
from typing import Final, Protocol, Self

from dagrun.ports.store.commits import Commits
from dagrun.ports.store.definitions import Definitions
from dagrun.ports.store.journals import Journals
from dagrun.ports.store.messages import Messages
from dagrun.ports.store.runs import Runs
from dagrun.ports.store.slots import Slots
from dagrun.ports.store.submissions import Submissions
from dagrun.ports.store.upkeep import Upkeep
from dagrun.ports.tokens import Tokens

MAX_LIMIT: Final = 10_000
"""Most of anything that a store is asked for at once."""


class Store(
    Commits, Definitions, Journals, Messages, Runs, Slots, Submissions, Tokens, Upkeep, Protocol
):
    """Keeps journals durably, with the projections of runs and nodes.

    Open it with ``async with``; leaving closes it. All methods may wait for the disk but never
    block the loop. One caller writes at a time; readers may run beside it, and so may other
    processes.

    A ``limit`` is a whole number from 1 to :data:`MAX_LIMIT`; any other is a ValueError.

    All methods raise :class:`~dagrun.errors.StoreBusy` when another process held the database
    for too long, and :class:`~dagrun.errors.StoreError` when it cannot be used.
    """

    @property
    def place(self) -> str:
        """What people know it by, such as the path of its file."""
        ...

    async def __aenter__(self) -> Self:
        """Open, create or migrate the database.

        Raises:
            StoreCorrupt: the file is damaged, or not dagrun's.
            StoreTooNew: a newer dagrun wrote it.
        """
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

"""The store ``sqlite``."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from dagrun.builtin.intake import check_limit
from dagrun.builtin.sqlite import read
from dagrun.builtin.sqlite.admission import admit, read_standing
from dagrun.builtin.sqlite.assignments import claim
from dagrun.builtin.sqlite.backup import backup
from dagrun.builtin.sqlite.database import Database
from dagrun.builtin.sqlite.messages import post, read_messages, read_messages_to_others
from dagrun.builtin.sqlite.prune import prune
from dagrun.builtin.sqlite.registrations import read_registrations, register, unregister
from dagrun.builtin.sqlite.schema import BUSY_TIMEOUT
from dagrun.builtin.sqlite.tokens import add_token, read_tokens, revoke_token
from dagrun.builtin.sqlite.write import write_batch
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Definition,
    Logged,
    Message,
    MessageKind,
    NewRun,
    NodeRecord,
    Posted,
    Registration,
    Rejection,
    RunRecord,
    Slot,
    Taken,
)
from dagrun.ports.tokens import TokenRecord


class SqliteStore:
    """Keeps journals in an SQLite file; implements :class:`~dagrun.ports.store.Store`.

    Args:
        path: the file. It and its folder are made when they are missing.
        hook: called with a name before and after each step of a commit; for tests that end the
            process there.
        busy_timeout: seconds to wait for another process's transaction, then it is
            :exc:`~dagrun.errors.StoreBusy`.
    """

    def __init__(
        self,
        *,
        path: Path,
        hook: Callable[[str], None] = lambda _: None,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self.path = path
        self._timeout = busy_timeout
        self._database = Database(path, hook=hook, busy_timeout=busy_timeout)

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self.path)

    async def __aenter__(self) -> Self:
        """Open, create or migrate the database."""
        await self._database.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self._database.close()

    async def commit(
        self,
        events: Sequence[Event],
        *,
        new_runs: Sequence[NewRun] = (),
        definitions: Sequence[Definition] = (),
        taken: Sequence[Taken] = (),
        assignments: Sequence[Assignment] = (),
    ) -> CommitResult:
        """Write a batch in one transaction; see the port."""
        batch = (events, new_runs, definitions, taken, assignments)
        return await self._database.write(lambda connection: write_batch(connection, *batch))

    async def claim(self, run_id: RunId, *, owner: str, expected_epoch: int) -> RunRecord:
        """Hand a run over; see the port."""
        return await self._database.write(
            lambda connection: claim(connection, run_id, owner, expected_epoch)
        )

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> Sequence[Posted]:
        """Post something to a run; see the port."""
        return await self._database.write(
            lambda connection: post(connection, run_id, kind, data or {})
        )

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free; see the port."""
        return await self._database.write(lambda connection: admit(connection, run_id, slot))

    async def register(self, registration: Registration, definition: Definition) -> bool:
        """Store a version of a workflow; see the port."""
        return await self._database.write(
            lambda connection: register(connection, registration, definition)
        )

    async def unregister(self, workflow_id: str, versions: Collection[str]) -> Sequence[str]:
        """Delete versions of a workflow; see the port."""
        return await self._database.write(
            lambda connection: unregister(connection, workflow_id, versions)
        )

    async def add_token(self, token: TokenRecord) -> None:
        """Store a token; see the port."""
        await self._database.write(lambda connection: add_token(connection, token))

    async def revoke_token(self, token_id: str, *, now: datetime) -> bool:
        """Accept a token no more; see the port."""
        return await self._database.write(
            lambda connection: revoke_token(connection, token_id, now)
        )

    async def prune(self, *, before: datetime, now: datetime, limit: int) -> Sequence[RunId]:
        """Delete runs that ended before a time; see the port."""
        check_limit(limit)
        return await self._database.write(lambda connection: prune(connection, before, now, limit))

    async def backup(self, target: Path) -> None:
        """Write a whole copy to a new file; see the port."""
        await self._database.in_thread(lambda: backup(self.path, target, self._timeout))

    async def log(self, *, after: int, limit: int, run_id: RunId | None = None) -> Sequence[Logged]:
        """Give the events of all runs, or of one, behind a position."""
        check_limit(limit)
        return await self._database.read(read.read_log, run_id, after, limit)

    async def last_position(self) -> int:
        """Give the position of the newest event."""
        return await self._database.read(read.read_last_position)

    async def messages(self, run_id: RunId) -> Sequence[Message]:
        """Give what was posted to a run and not taken up yet."""
        return await self._database.read(read_messages, run_id)

    async def messages_to_others(self, owner: str) -> Sequence[Posted]:
        """Give what was posted to runs of other owners and not taken up yet."""
        return await self._database.read(read_messages_to_others, owner)

    async def children(self, run_id: RunId) -> Sequence[RunRecord]:
        """Give the runs that a run started."""
        return await self._database.read(read.read_children, run_id)

    async def child(
        self, run_id: RunId, node_id: str, item: int | None, attempt: int
    ) -> RunRecord | None:
        """Give the run that an attempt of a run started."""
        return await self._database.read(read.read_child, (run_id, node_id, item, attempt))

    async def unfinished(self, owner: str) -> Sequence[RunRecord]:
        """Give all runs of an owner that have not ended."""
        return await self._database.read(read.read_unfinished, owner)

    async def standing(self, run: NewRun) -> RunId | Rejection | None:
        """Give the run that an idempotency key stands for; see the port."""
        return await self._database.read(read_standing, run)

    async def holders(self, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key."""
        return await self._database.read(read.read_holders, key)

    async def rivals(self, run_id: RunId, key: str) -> Sequence[RunRecord]:
        """Give the runs with a key that have a slot, or wait and are not newer; see the port."""
        return await self._database.read(read.read_rivals, run_id, key)

    async def tokens(self) -> list[TokenRecord]:
        """Give all tokens."""
        return await self._database.read(read_tokens)

    async def registrations(self, workflow_id: str | None = None) -> Sequence[Registration]:
        """Give the versions of a workflow, or of all."""
        return await self._database.read(read_registrations, workflow_id)

    async def run(self, run_id: RunId) -> RunRecord:
        """Give one run."""
        return await self._database.read(read.read_run, run_id)

    async def runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        top_level: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunRecord], str | None]:
        """Give a page of runs, newest first."""
        check_limit(limit)
        return await self._database.read(
            read.read_runs, workflow_id, status, top_level, limit, cursor
        )

    async def nodes(self, run_id: RunId) -> Sequence[NodeRecord]:
        """Give the nodes and items of a run."""
        return await self._database.read(read.read_nodes, run_id)

    async def events(self, run_id: RunId, *, after: int = 0) -> Sequence[Event]:
        """Give a run's journal from the event behind ``after``."""
        return await self._database.read(read.read_events, run_id, after)

    async def definition(self, definition_hash: str) -> Definition:
        """Give a stored definition."""
        return await self._database.read(read.read_definition, definition_hash)

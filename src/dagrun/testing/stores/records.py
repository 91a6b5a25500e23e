# ruff: noqa: S101 — these are tests
"""What the tests of stores put into them, and look for."""

from collections.abc import Sequence
from typing import Any

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.ports.store import Assignment, CommitResult, MessageKind, Parent, Posted, Store, Taken
from dagrun.testing.journals import ERROR, event, journal, new_run

R = RunId("r")
CANCEL, PAUSE = MessageKind.CANCEL, MessageKind.PAUSE


def parent(run_id: str = "r", **fields: Any) -> Parent:
    """Say that the first attempt of node ``a`` of a run starts a child."""
    values = {"epoch": 1, "node_id": "a", "item": None, "attempt": 1, "depth": 1}
    return Parent(run_id=RunId(run_id), **{**values, **fields})


async def add_child(store: Store, run_id: str, of: str = "r", *, upto: int = 2, **at: Any) -> None:
    """Store a child of a run, started by a node that has its name."""
    given = new_run(run_id, parent=parent(of, **{"node_id": run_id, **at}))
    assert await store.commit(journal(run_id)[:upto], new_runs=[given]) == CommitResult()


def taken(number: int, epoch: int = 1) -> Taken:
    """Say that a message of run ``r`` was taken up."""
    return Taken(run_id=R, epoch=epoch, number=number)


def assignment(engine_id: str | None = "e", run_id: str = "r", **fields: Any) -> Assignment:
    """Assign a run to an engine, or to none."""
    instance = None if engine_id is None else "i"
    values = {"run_id": RunId(run_id), "epoch": 1, "engine_id": engine_id, "instance": instance}
    return Assignment(**{**values, **fields})


async def waiting(store: Store, run_id: str = "r") -> list[tuple[int, str]]:
    """Give numbers and kinds of the messages of a run."""
    messages = await store.messages(RunId(run_id))
    return [(message.number, str(message.kind)) for message in messages]


async def place(store: Store, run_id: str = "r") -> tuple[str | None, str | None]:
    """Give the engine that has a run, and which life of it."""
    run = await store.run(RunId(run_id))
    return run.engine_id, run.instance


def whom(posted: Sequence[Posted]) -> list[tuple[str, str]]:
    """Give the runs to which something was posted, and what."""
    return [(one.run_id, str(one.message.kind)) for one in posted]


def cancelling(seq: int = 3, run_id: str = "r") -> Event:
    """Make the event with which the cancellation of a run begins."""
    return event(seq, Type.RUN_CANCELLING, run_id, data={"reason": "requested"})


ENDINGS = [
    event(3, Type.RUN_ENDING, data={"status": "failed", "error": ERROR}),
    event(3, Type.RUN_SUCCEEDED, data={"outputs": Raw(b"{}")}),
    event(3, Type.RUN_FAILED, data={"error": ERROR}),
]

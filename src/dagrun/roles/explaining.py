"""Why a run stands where it stands, as far as the processes of its data directory know."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from dagrun.builtin.ownership import ORCHESTRATOR, owner_pid
from dagrun.domain.explain import explain_run, how_to_go_on
from dagrun.domain.ids import RunId
from dagrun.domain.reasons import REQUESTED
from dagrun.domain.state import RunState
from dagrun.domain.status import CANCELLABLE, PAUSABLE, RESUMABLE, RUN_ENDED, RunStatus
from dagrun.errors import DagrunError
from dagrun.ports.store import Message, MessageKind, RunRecord, Store
from dagrun.roles.owners import Request, ask_owner, is_cut_off, orchestrator_is_gone

HOLDERS = 5
"""Runs that are named of those that hold a slot, and of those that are waited for."""


async def explain(
    data_dir: Path,
    store: Store,
    record: RunRecord,
    state: RunState,
    *,
    here: Callable[[RunId], str | None] = lambda _: None,
) -> list[str]:
    """Say it in sentences, from the run to its nodes.

    Args:
        data_dir: the directory that the processes share.
        store: an open store.
        record: what it says of the run.
        state: the run, as its journal tells it.
        here: says where a run of this process is; None for one of another process.
    """
    where = here(record.run_id)
    others = where is None and record.owner == ORCHESTRATOR
    if others and (told := await _what_the_orchestrator_says(data_dir, record)):
        return told
    ended = record.status in RUN_ENDED
    first, *nodes = explain_run(state, cut_off=is_cut_off(data_dir, record))
    if ended:
        return [first, *nodes]
    asked = _asked_for(await store.messages(record.run_id), record.status)
    found = await _elsewhere(data_dir, record) if where is None else [where]
    holders = await _holders(data_dir, store, record, here)
    return [
        first,
        *asked,
        *found,
        *holders,
        *nodes,
        *await _children(data_dir, store, record, here),
    ]


def _asked_for(messages: Sequence[Message], status: RunStatus) -> list[str]:
    """Say what a run was asked for that nobody has done yet."""
    cancel = next((one for one in messages if one.kind is MessageKind.CANCEL), None)
    if cancel is not None and status in CANCELLABLE:
        reason = cancel.data.get("reason", REQUESTED)
        return [f"it is to be cancelled ({reason}) as soon as an engine takes up the request"]
    kinds = [one.kind for one in messages]
    last = [kind for kind in kinds if kind in (MessageKind.PAUSE, MessageKind.RESUME)][-1:]
    if last == [MessageKind.PAUSE] and status in PAUSABLE:
        return ["it is to be paused as soon as an engine takes up the request"]
    if last == [MessageKind.RESUME] and status in RESUMABLE:
        return ["it is to go on as soon as an engine takes up the request"]
    return []


async def _elsewhere(data_dir: Path, record: RunRecord) -> list[str]:
    """Say which process has a run, and what it waits for there."""
    pid = owner_pid(data_dir, record.owner)
    if pid is None and record.owner == ORCHESTRATOR:
        return [orchestrator_is_gone(data_dir)]
    if pid is None:
        return [f"its process has ended; {how_to_go_on(record.run_id, record.status)}"]
    reasons = [f"process {pid} has it"]
    with suppress(DagrunError):
        if isinstance(why := await ask_owner(data_dir, record, Request.EXPLAIN), str):
            reasons.append(why)
    return reasons


async def _what_the_orchestrator_says(data_dir: Path, record: RunRecord) -> list[str]:
    """Give all reasons, of who knows which engine has the run; none if it does not answer."""
    with suppress(DagrunError):
        told = await ask_owner(data_dir, record, Request.EXPLAIN)
        return told if isinstance(told, list) else []
    return []


async def _children(
    data_dir: Path, store: Store, record: RunRecord, here: Callable[[RunId], str | None]
) -> list[str]:
    """Say how the runs stand for which this one waits, the oldest first."""
    waited_for = [
        child
        for child in await store.children(record.run_id)
        if child.parent is not None and child.parent.wait and child.status not in RUN_ENDED
    ]
    reasons = []
    for child in waited_for[:HOLDERS]:
        where = here(child.run_id)
        found = await _elsewhere(data_dir, child) if where is None else [where]
        reasons.append(f"run {child.run_id} is {child.status}: {'; '.join(found)}")
    return reasons


async def _holders(
    data_dir: Path, store: Store, record: RunRecord, here: Callable[[RunId], str | None]
) -> list[str]:
    if record.slot_key is None or record.admitted or owner_pid(data_dir, record.owner) is None:
        return []
    holders = await store.holders(record.slot_key)
    return [_holder(data_dir, holder, here(holder.run_id)) for holder in holders[:HOLDERS]]


def _holder(data_dir: Path, holder: RunRecord, where: str | None) -> str:
    where = _holder_elsewhere(data_dir, holder) if where is None else where
    return f"run {holder.run_id} has a slot of {holder.slot_key!r}: it is {holder.status} ({where})"


def _holder_elsewhere(data_dir: Path, holder: RunRecord) -> str:
    """Say which process has a run that is none of this process's."""
    if is_cut_off(data_dir, holder):
        return "its process has ended; resume or cancel it"
    pid = owner_pid(data_dir, holder.owner)
    if holder.owner == ORCHESTRATOR:
        return "its orchestrator has ended" if pid is None else f"orchestrator, process {pid}"
    return f"process {pid}"

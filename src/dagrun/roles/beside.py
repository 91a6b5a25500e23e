"""What an orchestrator and the commands beside it in its data directory tell each other."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import trio

from dagrun.builtin.control import ask
from dagrun.builtin.ownership import ORCHESTRATOR, owner_pid
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError, RemoteError
from dagrun.roles.leading import Leading
from dagrun.roles.local_runs import answer
from dagrun.roles.owners import Request
from dagrun.services.monitor import Monitor

KINDS: Final = ("workflow.registered", "workflow.deleted")


async def announce(monitor: Monitor, kind: str, workflow_id: str, data: Mapping[str, Any]) -> None:
    """Tell the subscribers of this process."""
    monitor.announce(kind, workflow_id=workflow_id, data=data)
    await trio.lowlevel.checkpoint()


async def tell_leader(data_dir: Path, kind: str, workflow_id: str, data: Mapping[str, Any]) -> None:
    """Let the orchestrator that leads a data directory tell its subscribers, if one does.

    It has the workflow in any case: all of them are read from the database.
    """
    if owner_pid(data_dir, ORCHESTRATOR) is None:
        return
    told = {"type": kind, "workflow_id": workflow_id, "data": json.dumps(data)}
    with suppress(RemoteError):  # it ends just now, or does not answer
        await ask(data_dir, ORCHESTRATOR, {"do": Request.ANNOUNCE, **told})


async def answer_beside(leading: Leading, request: Mapping[str, Any]) -> Any:
    """Do what another process of the data directory asks of an orchestrator."""
    run_id = RunId(str(request.get("run_id")))
    match request.get("do"):
        case Request.ANNOUNCE:
            return await _announce_for(leading, request)
        case Request.EXPLAIN if leading.dispatcher.ticket(run_id) is not None:
            return list((await leading.management.runs.explain(run_id)).reasons)
        case _:
            return await answer(leading, request)


async def _announce_for(leading: Leading, request: Mapping[str, Any]) -> bool:
    if (kind := request.get("type")) not in KINDS:
        raise ConflictError(f"{kind!r} is nothing that is told of")
    data = json.loads(request.get("data", "{}"))
    await announce(leading.monitor, str(kind), str(request.get("workflow_id")), data)
    return True

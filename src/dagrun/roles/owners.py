"""How the processes of a data directory ask each other for what only the one with a run can do."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from dagrun.builtin.control import ask
from dagrun.builtin.ownership import ORCHESTRATOR, owner_pid
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError
from dagrun.ports.store import RunRecord


class Request(StrEnum):
    """What can be asked of the process that has a run."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    EXPLAIN = "explain"
    """Why the run waits there."""

    TELL = "tell"
    """To look at what was posted to the run."""

    ANNOUNCE = "announce"
    """To tell of a workflow that was registered or deleted beside the orchestrator."""


def is_cut_off(data_dir: Path, record: RunRecord) -> bool:
    """Whether nobody goes on with a run unless told to: it has not ended, and its process has.

    A run of an orchestrator is not cut off by the end of that: its engine goes on with it for a
    while, and so does the next orchestrator. If somebody else did, too, nodes would run twice.

    Raises:
        StoreError: the lock of its process cannot be looked at.
    """
    if record.status in RUN_ENDED or record.owner == ORCHESTRATOR:
        return False
    return owner_pid(data_dir, record.owner) is None


def orchestrator_is_gone(data_dir: Path) -> str:
    """Say what to do for a run of an orchestrator, while none leads."""
    return (
        "its orchestrator has ended, and the next one goes on with it; start one with: "
        f"dagrun orchestrator --data-dir {data_dir}"
    )


async def ask_owner(data_dir: Path, record: RunRecord, what: Request, **more: str) -> Any:
    """Ask the process that has a run, and give what it says.

    Gives False if the run has ended.

    Args:
        data_dir: the directory that the processes share.
        record: the run.
        what: is wanted of it.
        more: goes with that, such as a reason.

    Raises:
        ConflictError: its process has ended, or refuses.
        RemoteError: its process lives and does not answer.
    """
    if record.status in RUN_ENDED:
        return False
    if owner_pid(data_dir, record.owner) is None:
        if record.owner == ORCHESTRATOR:
            raise ConflictError(f"run {record.run_id}: {orchestrator_is_gone(data_dir)}")
        raise ConflictError(
            f"the process of run {record.run_id} has ended; go on with it where its data directory"
            f" is: dagrun run --resume {record.run_id}"
        )
    request = {"do": what, "run_id": record.run_id, **more}
    return await ask(data_dir, record.owner, request)

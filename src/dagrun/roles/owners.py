"""How the processes of a data directory ask each other for what only the one with a run can do."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from dagrun.builtin.control import ask
from dagrun.builtin.ownership import owner_pid
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
        raise ConflictError(
            f"the process of run {record.run_id} has ended; go on with it where its data directory"
            f" is: dagrun run --resume {record.run_id}"
        )
    request = {"do": what, "run_id": record.run_id, **more}
    return await ask(data_dir, record.owner, request)

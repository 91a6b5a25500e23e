"""``dagrun runs cancel|pause|resume``."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stdout
from typing import Final, Literal

import attrs

from dagrun.cli import output
from dagrun.cli.asking import ask
from dagrun.cli.options import Asked
from dagrun.domain.status import CANCELLABLE, PAUSABLE, RESUMABLE, RUN_ENDED, RunStatus, stands
from dagrun.ports.management import Change, Management

What = Literal["cancel", "pause", "resume"]
DID: Final = {"cancel": "is cancelled", "pause": "is paused", "resume": "goes on"}
WILL: Final = {"cancel": "will be cancelled", "pause": "will be paused", "resume": "will go on"}
DID_NOT: Final = {
    "cancel": "cannot be cancelled",
    "pause": "cannot be paused",
    "resume": "cannot be resumed",
}
ASKED_FOR: Final = {
    "cancel": "a request to cancel it waits for an engine already",
    "pause": "a request to pause or cancel it waits for an engine already",
    "resume": "a request to resume or cancel it waits for an engine already",
}
BEFORE: Final = {"cancel": CANCELLABLE, "pause": PAUSABLE, "resume": RESUMABLE}
"""States in which a run is until what was asked for is done."""

AFTER: Final = {
    "cancel": frozenset({RunStatus.CANCELLING, RunStatus.CANCELLED}),
    "pause": frozenset({RunStatus.PAUSED}),
    "resume": frozenset(RunStatus) - RESUMABLE,
}
"""States in which it is then."""


def change_run(asked: Asked, run_id: str, what: What) -> int:
    """Ask for something to be done with a run, whoever executes it. Give the exit code.

    Raises:
        NotFound: there is no such run.
        ConflictError: its process has ended, and only :option:`--resume` can go on with it.
    """

    async def act(management: Management) -> Change:
        runs = management.runs
        methods: Mapping[What, Callable[[str], Awaitable[Change]]] = {
            "cancel": runs.cancel,
            "pause": runs.pause,
            "resume": runs.resume,
        }
        return await methods[what](run_id)

    # A run that had no process may go on in this one, with handlers that may print.
    with redirect_stdout(output.Notes()):
        change = ask(asked, act)
    return _say(what, change, as_json=asked.json)


def _say(what: What, change: Change, *, as_json: bool) -> int:
    """Print what came of it. Give the exit code."""
    if as_json:
        output.say_json(attrs.asdict(change))
    elif change.changed:
        output.say(f"run {change.run_id} {_did(what, change.status)}")
        if what == "pause" and change.status not in RUN_ENDED:
            output.note(f"dagrun: let it go on with: dagrun runs resume {change.run_id}")
    else:
        output.note(f"dagrun: run {change.run_id} {DID_NOT[what]}: {_why(what, change.status)}")
    if change.status in BEFORE[what] and not as_json:
        output.note(f"dagrun: see who has it with: dagrun runs explain {change.run_id}")
    return output.DONE if change.changed else output.FAILED


def _did(what: What, status: RunStatus) -> str:
    """Say what came of a request that was taken."""
    if status in AFTER[what]:
        return DID[what]
    if status in BEFORE[what]:
        return f"{WILL[what]} as soon as an engine takes up the request"
    return f"{stands(status)} already"  # it came to that before anybody heard of the request


def _why(what: What, status: RunStatus) -> str:
    """Say why a request changes nothing."""
    return ASKED_FOR[what] if status in BEFORE[what] else f"it {stands(status)} already"

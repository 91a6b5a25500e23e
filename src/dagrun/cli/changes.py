"""``dagrun runs cancel|pause|resume``."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stdout
from typing import Final, Literal

import attrs

from dagrun.cli import output
from dagrun.cli.asking import ask
from dagrun.cli.options import Asked
from dagrun.domain.status import stands
from dagrun.ports.management import Change, Management

What = Literal["cancel", "pause", "resume"]
DID: Final = {"cancel": "is cancelled", "pause": "is paused", "resume": "goes on"}
DID_NOT: Final = {
    "cancel": "cannot be cancelled",
    "pause": "cannot be paused",
    "resume": "cannot be resumed",
}


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
        output.say(f"run {change.run_id} {DID[what]}")
        if what == "pause":
            output.note(f"dagrun: let it go on with: dagrun runs resume {change.run_id}")
    else:
        output.note(
            f"dagrun: run {change.run_id} {DID_NOT[what]}: it {stands(change.status)} already"
        )
    return output.DONE if change.changed else output.FAILED

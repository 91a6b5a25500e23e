"""What is said of a request to change a run."""

from typing import Final, Literal

import attrs

from dagrun.cli import output
from dagrun.domain.status import stands
from dagrun.ports.management import Change

What = Literal["cancel", "pause", "resume"]
DID: Final = {"cancel": "is cancelled", "pause": "is paused", "resume": "goes on"}
DID_NOT: Final = {
    "cancel": "cannot be cancelled",
    "pause": "cannot be paused",
    "resume": "cannot be resumed",
}


def say_change(what: What, change: Change, *, as_json: bool) -> int:
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

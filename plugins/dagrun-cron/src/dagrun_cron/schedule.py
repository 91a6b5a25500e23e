"""Whether a schedule can be understood, and whether it ever comes."""

import functools
import re
from datetime import UTC, datetime
from typing import Final

MAX_LENGTH: Final = 256
"""Characters that a schedule may have; a list of all minutes and hours fits."""

FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
WORDS: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")

_YEARS: Final = 50  # 29 February on a given day of the week comes every 40 years at the rarest
_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)  # fixed, so that the answer is always the same
_RANDOM: Final = re.compile(r"(?<![a-z])[hr](?![a-z])", re.IGNORECASE)


@functools.lru_cache(maxsize=1000)
def complaint(schedule: str) -> str | None:
    """Say what is wrong with a schedule; None when it is right.

    >>> complaint("0 0 31 2 *")
    "the schedule '0 0 31 2 *' never comes: no calendar has such a day"
    >>> complaint("0 0 29 2 *")  # gives None

    Takes a few milliseconds at most, whatever the text.
    """
    if len(schedule) > MAX_LENGTH:
        return f"the schedule has {len(schedule)} characters; at most {MAX_LENGTH} are allowed"
    if schedule.startswith("@"):
        return None if schedule in WORDS else f"{schedule!r} is none of {', '.join(WORDS)}"
    fields = schedule.split()
    if len(fields) not in (5, 6):
        return (
            f"the schedule has {len(fields)} fields; write five ({', '.join(FIELDS)}), "
            "or six with seconds first"
        )
    if any(_RANDOM.search(field) for field in fields):
        return "H and R stand for random values, which would change at every start"
    return _try(schedule, seconds=len(fields) == 6)


def _try(schedule: str, *, seconds: bool) -> str | None:
    """Look for the first slot, since the library tells only then what it cannot do."""
    from croniter import (  # noqa: PLC0415 — 50 ms that only a document with a schedule costs
        CroniterBadDateError,
        CroniterError,
        croniter,
    )

    try:
        croniter(
            schedule, _FROM, second_at_beginning=seconds, max_years_between_matches=_YEARS
        ).get_next(datetime)
    except CroniterBadDateError:
        return f"the schedule {schedule!r} never comes: no calendar has such a day"
    except (CroniterError, ValueError, KeyError, OverflowError) as error:
        return f"{schedule!r} is no schedule: {error}"
    return None

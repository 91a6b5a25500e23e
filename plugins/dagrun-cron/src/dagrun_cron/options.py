"""What a document says under a trigger of type ``cron``."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs


@attrs.frozen(kw_only=True)
class CronOptions:
    """Options of the trigger ``cron``."""

    schedule: str
    """Five fields (minute, hour, day of month, month, day of week), or six with seconds first,
    or a word such as ``@daily``."""

    timezone: str = "UTC"
    """Name of the IANA time zone in which the schedule is read."""

    inputs: Mapping[str, Any] = attrs.field(factory=dict)
    """Inputs of the runs; expressions see ``trigger``."""

    catch_up: Literal["none", "latest", "all"] = "none"
    """Which slots that were missed while nothing ran are made up for."""

    catch_up_limit: int | None = None
    """Most slots that ``catch_up: all`` makes up for, the latest ones."""

    overlap: Literal["allow", "skip", "queue", "cancel_running"] = "allow"
    """What becomes of a slot that comes while a run of an earlier one has not ended."""

    jitter: float | str = 0.0
    """Most time by which a firing is put off at random: a duration."""

    start: str | None = None
    """The first moment at which it may fire: RFC 3339, or a local time of the time zone."""

    end: str | None = None
    """The moment from which on it does not fire any more; written like ``start``."""

    paused: bool = False
    """Whether it does not fire until it is told to."""

    dst: Literal["shift", "skip"] = "shift"
    """A slot that a change to summer time leaves out fires when the gap ends, or not at all.

    A slot that comes twice when the clocks go back fires the first time only, in either case.
    """

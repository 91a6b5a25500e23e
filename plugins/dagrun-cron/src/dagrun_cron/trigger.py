"""The kind of trigger, as far as documents are checked against it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dagrun.domain.durations import parse_duration
from dagrun.domain.expressions import ExpressionSyntaxError
from dagrun.domain.templates import compile_template
from dagrun.domain.workflow import JSON
from dagrun_cron.options import CronOptions
from dagrun_cron.schedule import complaint

INPUT_NAMES = ("trigger",)
"""What expressions in ``inputs`` may use."""

MAX_CATCH_UP = 10_000
"""Slots that ``catch_up_limit`` may allow."""


class CronKind:
    """Checks the options of ``cron`` triggers. Nothing fires yet."""

    options: ClassVar[type[CronOptions]] = CronOptions

    def check(self, options: Mapping[str, JSON]) -> Mapping[str, str]:
        """Find what is wrong with options whose types are right: option → message."""
        return dict(_problems(CronOptions(**options)))


def _problems(options: CronOptions) -> Iterator[tuple[str, str]]:
    wrong = complaint(options.schedule)
    if wrong is not None:
        yield "schedule", wrong
    zone = _zone(options.timezone)
    if zone is None:
        yield "timezone", f"there is no time zone {options.timezone[:60]!r}"
    yield from _wrong_inputs(options.inputs)
    yield from _wrong_catch_up(options)
    yield from _wrong_jitter(options.jitter)
    yield from _wrong_span(options, zone or ZoneInfo("UTC"))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of the database is an OSError
        return None


def _wrong_inputs(inputs: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    reserved = sorted(name for name in inputs if name.startswith("_"))
    if reserved:
        yield "inputs", f"names that begin with _ are reserved: {', '.join(reserved)}"
    try:
        compile_template(dict(inputs), names=INPUT_NAMES)
    except ExpressionSyntaxError as error:
        place = ".".join(map(str, error.path))
        yield "inputs", f"{place}: {error}"


def _wrong_catch_up(options: CronOptions) -> Iterator[tuple[str, str]]:
    limit = options.catch_up_limit
    if limit is None:
        return
    if options.catch_up != "all":
        yield "catch_up_limit", f"it has no effect: catch_up is {options.catch_up}"
    elif not 1 <= limit <= MAX_CATCH_UP:
        yield "catch_up_limit", f"a number from 1 to {MAX_CATCH_UP} is needed, not {limit}"


def _wrong_jitter(jitter: float | str) -> Iterator[tuple[str, str]]:
    try:
        parse_duration(jitter)
    except ValueError as error:
        yield "jitter", str(error)


def _wrong_span(options: CronOptions, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    moments = {}
    for name, text in (("start", options.start), ("end", options.end)):
        if text is None:
            continue
        try:
            moments[name] = _moment(text, zone)
        except ValueError:
            yield name, f"{text[:60]!r} is no time: write it like 2030-01-31T08:00:00Z"
    if len(moments) == 2 and moments["end"] <= moments["start"]:
        yield "end", "it does not come after start, so the trigger would never fire"


def _moment(text: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)

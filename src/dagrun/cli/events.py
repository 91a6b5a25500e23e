"""``dagrun events``: what happened in all runs."""

from collections import deque
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

import attrs

from dagrun.cli import output
from dagrun.cli.asking import answerer
from dagrun.cli.broken_off import saying_how_to_go_on
from dagrun.cli.options import Asked
from dagrun.domain.events import Type
from dagrun.domain.ids import is_id
from dagrun.domain.monitoring import MonitorEvent, Severity, position_of
from dagrun.domain.result import rfc3339
from dagrun.errors import ConfigError
from dagrun.ports.management import MOST, EventManagement, Management, Wanted

MOST_PRINTED: Final = 1_000_000
BEGINNING: Final = "0"
"""Behind what all events come."""

_OTHERS: Final = (
    "workflow.registered",
    "workflow.deleted",
    "engine.joined",
    "engine.lost",
    "engine.draining",
)
_TYPES: Final = sorted(
    {name for kind in (*Type, *_OTHERS) for name in (str(kind), kind.partition(".")[0])}
)


def print_events(
    asked: Asked,
    *,
    follow: bool,
    after: str | None,
    limit: int,
    severity: str,
    types: Sequence[str],
    workflow: str | None,
    run: str | None,
) -> int:
    """Print events, oldest first. Give the exit code.

    Raises:
        ConfigError: an option is wrong.
        NotFound: there is no such run.
    """
    wanted = _wanted(severity, types, workflow, run)
    _check_position(after)
    if not 0 <= limit <= MOST_PRINTED:
        raise ConfigError(f"--limit: a number from 0 to {MOST_PRINTED} is needed, not {limit}")

    seen: str | None = None

    async def act(management: Management) -> str | None:
        nonlocal seen
        if run is not None:
            async with management.runs.journal(run, follow=False):
                pass  # there is such a run; whether it is sound is another matter
        position = after
        if after is None:
            events, position = await _newest(management.events, wanted, limit)
            _say(events, as_json=asked.json)
            seen = position if follow else None
        elif not follow:
            await _say_first(management.events, wanted, after, limit, as_json=asked.json)
        if follow:
            async with management.events.follow(wanted, after=position) as coming:
                seen = position
                async for event in coming:
                    _say([event], as_json=asked.json)
                    seen = event.id
        return position

    whom = answerer(asked)

    def again() -> Sequence[str] | None:
        return None if seen is None else ["events", "--follow", *_flags(wanted), "--after", seen]

    with saying_how_to_go_on(asked, again):
        position = whom.ask(act, makes=follow)
    if position == BEGINNING and after is None and not asked.json:
        output.note(f"dagrun: nothing has happened {whom.place}")
    return output.DONE


async def _newest(
    events: EventManagement, wanted: Wanted, limit: int
) -> tuple[Iterable[MonitorEvent], str]:
    """Give the newest events, and behind what the next ones are."""
    if limit <= MOST:
        page = await events.list(wanted, limit=max(limit, 1))
        return page.items[:limit], page.position
    newest = deque[MonitorEvent](maxlen=limit)
    position = BEGINNING
    while (page := await events.list(wanted, after=position, limit=MOST)).items:
        newest.extend(page.items)
        position = page.position
    return newest, page.position


async def _say_first(
    events: EventManagement, wanted: Wanted, after: str, limit: int, *, as_json: bool
) -> None:
    """Print the first events behind one."""
    while limit > 0:
        page = await events.list(wanted, after=after, limit=min(limit, MOST))
        if not page.items:
            return
        _say(page.items, as_json=as_json)
        limit -= len(page.items)
        after = page.position


def _wanted(severity: str, types: Sequence[str], workflow: str | None, run: str | None) -> Wanted:
    """Give which events the options want.

    Raises:
        ConfigError: an option is wrong.
    """
    if severity not in list(Severity):
        raise ConfigError(f"--severity: {severity!r} is none of {', '.join(Severity)}")
    for flag, value in (("--workflow", workflow), ("--run", run)):
        if value is not None and not is_id(value):
            raise ConfigError(f"{flag}: {value!r} is no id")
    for kind in types:
        if kind not in _TYPES:
            hint = next(iter(get_close_matches(kind, _TYPES, 1)), None)
            known = f"did you mean {hint!r}?" if hint else "such as run, run.failed, node"
            raise ConfigError(f"--type: no event is of the type {kind!r} ({known})")
    return Wanted(min_severity=Severity(severity), types=types, run_id=run, workflow_id=workflow)


def _flags(wanted: Wanted) -> Sequence[str]:
    """Give the options that want these events."""
    chosen = [("--type", kind) for kind in wanted.types]
    chosen += [("--workflow", wanted.workflow_id)] if wanted.workflow_id else []
    chosen += [("--run", wanted.run_id)] if wanted.run_id else []
    chosen += [("--severity", wanted.min_severity)] if wanted.min_severity != "info" else []
    return [word for pair in chosen for word in pair]


def _check_position(after: str | None) -> None:
    try:
        position_of(BEGINNING if after is None else after)
    except ValueError as error:
        raise ConfigError(f"--after: {error}") from error


def _say(events: Iterable[MonitorEvent], *, as_json: bool) -> None:
    for event in events:
        say_event(event, as_json=as_json)
    output.flush()


def say_event(event: MonitorEvent, *, as_json: bool) -> None:
    """Print an event."""
    if as_json:
        output.say_json(_to_json(event))
        return
    where = "/".join(part for part in (event.run_id, event.node_id) if part)
    item = "" if event.item is None else f"[{event.item}]"
    error = event.data.get("error")
    note = f"  {error['type']}: {error['message']}" if error else ""
    output.say(f"{event.id}  {rfc3339(event.time)}  {event.type}  {where}{item}{note}")


def _to_json(event: MonitorEvent) -> dict[str, Any]:
    """Give an event as programs read it, one object a line."""
    return {**attrs.asdict(event, recurse=False), "time": rfc3339(event.time)}

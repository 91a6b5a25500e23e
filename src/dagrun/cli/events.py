"""``dagrun events``: what happened in all runs of a data directory."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

import attrs
import trio

from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import check_run, has_database, with_store
from dagrun.domain.events import Type
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.monitoring import Filter, MonitorEvent, Severity, observed, position_of
from dagrun.domain.result import rfc3339
from dagrun.errors import ConfigError
from dagrun.ports.store import Store
from dagrun.settings import Settings

LOOK: Final = 0.2  # seconds between looks at the store; other processes cannot be waited for
PAGE: Final = 1000  # events that are read at once
MOST: Final = 1_000_000
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

_Pages: TypeAlias = AsyncGenerator[tuple[int, Sequence[MonitorEvent]], None]
_Show: TypeAlias = Callable[[Iterable[MonitorEvent]], None]


def print_events(
    settings: Settings,
    *,
    follow: bool,
    after: str | None,
    limit: int,
    severity: str,
    types: Sequence[str],
    workflow: str | None,
    run: str | None,
    as_json: bool,
) -> int:
    """Print events, oldest first. Give the exit code.

    Raises:
        ConfigError: an option is wrong.
        NotFound: there is no such run.
    """
    wanted = wanted_events(severity, types, workflow, run)
    start = position_in(after)
    check_limit(limit)
    if run is not None:
        check_run(settings, run)
    if not has_database(settings) and not follow:
        output.note(f"dagrun: no run was ever started in {settings.data_dir}")
        return output.DONE

    def show(events: Iterable[MonitorEvent]) -> None:
        for event in events:
            say_event(event, as_json=as_json)
        output.flush()

    async def act(store: Store) -> None:
        if run is not None:
            await store.run(RunId(run))
        last = await store.last_position()
        if start is None:
            await _show_newest(_pages(store, wanted, 0, last), limit, show)
        elif not follow:
            await _show_first(_pages(store, wanted, start, last), limit, show)
        if follow:
            await _follow(store, wanted, last if start is None else start, show)

    with_store(settings, load_with_warnings().registry, act)
    return output.DONE


async def _show_newest(pages: _Pages, limit: int, show: _Show) -> None:
    newest = deque[MonitorEvent](maxlen=limit)
    async for _, events in pages:
        newest.extend(events)
    show(newest)


async def _show_first(pages: _Pages, limit: int, show: _Show) -> None:
    async with aclosing(pages):
        async for _, events in pages:
            show(events[:limit])
            limit -= len(events[:limit])
            if limit == 0:
                return


async def _follow(store: Store, wanted: Filter, position: int, show: _Show) -> None:
    """Show all events behind a position, and those that come, without an end."""
    while True:
        async for reached, events in _pages(store, wanted, position, None):
            position = reached
            show(events)
        await trio.sleep(LOOK)


async def _pages(store: Store, wanted: Filter, after: int, last: int | None) -> _Pages:
    """Read what is behind a position, up to another one or the newest.

    Give how far each page goes, whether or not anything on it is wanted, and its wanted events.
    """
    run_id = None if wanted.run_id is None else RunId(wanted.run_id)
    while page := await store.log(after=after, limit=PAGE, run_id=run_id):
        after = page[-1].position
        seen = [
            observed(
                logged.event,
                position=logged.position,
                workflow_id=logged.workflow_id,
                engine_id=logged.engine_id,
            )
            for logged in page
            if last is None or logged.position <= last
        ]
        yield after, [event for event in seen if wanted.wants(event)]
        if last is not None and after >= last:
            return


def check_limit(limit: int) -> None:
    """Refuse what is no number of events.

    Raises:
        ConfigError: it is none.
    """
    if not 0 <= limit <= MOST:
        raise ConfigError(f"--limit: a number from 0 to {MOST} is needed, not {limit}")


def wanted_events(
    severity: str, types: Sequence[str], workflow: str | None, run: str | None
) -> Filter:
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
    return Filter(
        min_severity=Severity(severity),
        types=frozenset(types),
        run_id=run,
        workflow_id=workflow,
    )


def position_in(after: str | None) -> int | None:
    """Give where an event stands in the order of all.

    Raises:
        ConfigError: it is no id of an event.
    """
    try:
        return None if after is None else position_of(after)
    except ValueError as error:
        raise ConfigError(f"--after: {error}") from error


def say_event(event: MonitorEvent, *, as_json: bool) -> None:
    """Print an event."""
    if as_json:
        output.say_json(to_json(event))
        return
    where = "/".join(part for part in (event.run_id, event.node_id) if part)
    item = "" if event.item is None else f"[{event.item}]"
    error = event.data.get("error")
    note = f"  {error['type']}: {error['message']}" if error else ""
    output.say(f"{event.id}  {rfc3339(event.time)}  {event.type}  {where}{item}{note}")


def to_json(event: MonitorEvent) -> dict[str, Any]:
    """Give an event as programs read it, one object a line."""
    return {**attrs.asdict(event, recurse=False), "time": rfc3339(event.time)}

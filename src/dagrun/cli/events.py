"""``dagrun events``: what happened in all runs of a data directory."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import attrs
import trio

from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import has_database, with_store
from dagrun.domain.ids import is_id
from dagrun.domain.monitoring import Filter, MonitorEvent, Severity, observed, position_of
from dagrun.domain.result import rfc3339
from dagrun.errors import ConfigError
from dagrun.ports.store import Store
from dagrun.settings import Settings

LOOK: Final = 0.2  # seconds between looks at the store; other processes cannot be waited for
PAGE: Final = 1000  # events that are read at once
MOST: Final = 1_000_000


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
    """
    wanted = _filter(severity, types, workflow, run)
    start = _position(after)
    if not 0 <= limit <= MOST:
        raise ConfigError(f"--limit: a number from 0 to {MOST} is needed, not {limit}")
    if not has_database(settings) and not follow:
        output.note(f"dagrun: no run was ever started in {settings.data_dir}")
        return output.DONE

    async def act(store: Store) -> None:
        last = await store.last_position()
        shown = [e async for e in _between(store, wanted, start or 0, last)]
        for event in shown[:limit] if start is not None else shown[len(shown) - limit :]:
            _say(event, as_json=as_json)
        output.flush()
        while follow:
            async for event in _between(store, wanted, last, None):
                last = position_of(event.id)
                _say(event, as_json=as_json)
            output.flush()
            await trio.sleep(LOOK)

    with_store(settings, load_with_warnings().registry, act)
    return output.DONE


async def _between(
    store: Store, wanted: Filter, after: int, last: int | None
) -> AsyncIterator[MonitorEvent]:
    """Give the events behind a position, up to another one or the newest."""
    while page := await store.log(after=after, limit=PAGE):
        for logged in page:
            after = logged.position
            if last is not None and after > last:
                return
            event = observed(logged.event, position=after, workflow_id=logged.workflow_id)
            if wanted.wants(event):
                yield event


def _filter(severity: str, types: Sequence[str], workflow: str | None, run: str | None) -> Filter:
    if severity not in list(Severity):
        raise ConfigError(f"--severity: {severity!r} is none of {', '.join(Severity)}")
    for flag, value in (("--workflow", workflow), ("--run", run)):
        if value is not None and not is_id(value):
            raise ConfigError(f"{flag}: {value!r} is no id")
    return Filter(
        min_severity=Severity(severity),
        types=frozenset(types),
        run_id=run,
        workflow_id=workflow,
    )


def _position(after: str | None) -> int | None:
    try:
        return None if after is None else position_of(after)
    except ValueError as error:
        raise ConfigError(f"--after: {error}") from error


def _say(event: MonitorEvent, *, as_json: bool) -> None:
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

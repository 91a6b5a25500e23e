"""``dagrun runs logs --follow``: what the nodes of a run write, while they write it."""

import math
import time
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs
import trio

from dagrun.builtin.ownership import ORCHESTRATOR
from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import check_run, how_to_go_on, with_store
from dagrun.cli.runs import check_tried, log_head
from dagrun.cli.watch import LOOK, looks
from dagrun.domain.events import Event, Type
from dagrun.domain.handlers import handler_id
from dagrun.domain.ids import RunId
from dagrun.domain.plan import compile_plan
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED
from dagrun.domain.workflow import Workflow
from dagrun.errors import NotFound
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.local import LOGS
from dagrun.roles.stored_runs import stored_workflow
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import handling
from dagrun.settings import Settings

UTF8: Final = getincrementaldecoder("utf-8")
LATE: Final = 2.0
"""Seconds for which more of a log may come from an engine elsewhere, after an attempt has ended or
something came: what happens to runs goes before what they print."""

PIECE: Final = 64 * 1024  # bytes of a log that are read at once, and the longest line that waits


def follow_logs(
    settings: Settings,
    run_id: str,
    *,
    node: str | None,
    item: int | None,
    attempt: int | None,
    as_json: bool,
) -> int:
    """Print what nodes wrote and write, until the run or its process has ended. Give the exit code.

    Raises:
        NotFound: there is no such run or node, or in the end no such attempt.
    """
    check_run(settings, run_id)
    registry = load_with_warnings().registry
    logs = NodeLogs(settings.data_dir / LOGS)

    async def follow(store: Store) -> RunRecord:
        record = await store.run(RunId(run_id))
        workflow = await stored_workflow(store, record)
        _check_known(workflow, run_id, node)
        plan = compile_plan(workflow, handling(registry))
        state = RunState(plan, record.run_id, record.inputs)
        late = LATE if record.owner == ORCHESTRATOR else 0.0
        tail = Tail(logs, run_id, node=node, item=item, attempt=attempt, late=late)
        printer = _Printer(as_json=as_json, bare=node is not None)
        async for events in looks(settings, store, state):
            tail.see(events)
            printer.show(tail.new())
        while tail.expects():
            await trio.sleep(LOOK)
            printer.show(tail.new())
        printer.show(tail.rest())
        printer.end()
        check_tried(state, node, item, attempt)
        return await store.run(record.run_id)

    record = with_store(settings, registry, follow)
    if record.status not in RUN_ENDED:
        output.note(f"dagrun: its process has ended; {how_to_go_on(run_id, record.status)}")
    return output.DONE


def _check_known(workflow: Workflow, run_id: str, node_id: str | None) -> None:
    """Refuse what the workflow does not have; a handler may yet come."""
    known = {node.id for node in workflow.nodes} | set(map(handler_id, workflow.handlers))
    if node_id is not None and node_id not in known:
        raise NotFound(f"run {run_id} has no node {node_id!r}")


@attrs.define(eq=False)
class Source:
    """The log of one attempt, and how far it was read."""

    node_id: str
    item: int | None
    attempt: int
    ends_at: float = math.inf
    """When nothing more is written to it, by the tail's clock."""

    ended: bool = False
    """Whether that is over."""

    _place: int = attrs.field(default=0, init=False)
    _line: str = attrs.field(default="", init=False)
    """The beginning of a line whose end has not come."""

    _decoder: IncrementalDecoder = attrs.field(factory=lambda: UTF8(errors="replace"), init=False)

    def pieces(self, logs: NodeLogs, run_id: str) -> Iterator[str]:
        """Give what is new in whole lines, and the beginning of one if nothing more came."""
        came = False
        while data := self._read(logs, run_id):
            came = True
            self._place += len(data)
            yield from self._whole(self._decoder.decode(data))
        if self.ended:
            self._line += self._decoder.decode(b"", final=True)
        if self._line and (self.ended or not came):
            yield self._line
            self._line = ""

    def _read(self, logs: NodeLogs, run_id: str) -> bytes:
        where = (run_id, self.node_id, self.attempt, self.item)
        return logs.read(*where, start=self._place, size=PIECE)

    def _whole(self, text: str) -> Iterator[str]:
        before, end, self._line = (self._line + text).rpartition("\n")
        if end:
            yield before + end
        elif len(self._line) >= PIECE:
            yield self._line
            self._line = ""


class Tail:
    """Reads the logs of a run in the order in which their attempts start.

    Args:
        logs: where they are.
        run_id: the run.
        node: only the logs of this one; None for all.
        item: only those of this item.
        attempt: only those of this attempt.
        late: seconds for which more may come, after an attempt has ended or something came.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        logs: NodeLogs,
        run_id: str,
        *,
        node: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        late: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logs, self._run_id = logs, run_id
        self._late, self._clock = late, clock
        self._wanted = (node, item, attempt)
        self._open: dict[tuple[str, int | None, int], Source] = {}

    def see(self, events: Iterable[Event]) -> None:
        """Take in what happened: attempts that have started, and those that have ended."""
        for event in events:
            if event.node_id is None or event.attempt is None:
                continue
            key = (event.node_id, event.item, event.attempt)
            if event.type is not Type.NODE_RUNNING:
                if key in self._open:
                    self._open[key].ends_at = self._clock() + self._late
            elif self._wants(key) and key not in self._open:
                self._open[key] = Source(*key)

    def _wants(self, key: tuple[str, int | None, int]) -> bool:
        return all(wish in (None, part) for wish, part in zip(self._wanted, key, strict=True))

    def new(self) -> Iterator[tuple[Source, str]]:
        """Give what is new in them."""
        now = self._clock()
        for key, source in list(self._open.items()):
            source.ended = source.ends_at <= now
            for text in source.pieces(self._logs, self._run_id):
                if not source.ended and source.ends_at < math.inf:
                    source.ends_at = now + self._late
                yield source, text
            if source.ended:
                del self._open[key]

    def expects(self) -> bool:
        """Whether more may come of attempts that have ended."""
        return any(source.ends_at < math.inf for source in self._open.values())

    def rest(self) -> Iterator[tuple[Source, str]]:
        """Give what is new in them, when nobody writes any more."""
        for source in self._open.values():
            source.ends_at = -math.inf
        return self.new()


class _Printer:
    """Prints pieces of logs, with a line between those of different attempts.

    Args:
        as_json: print an object for each piece.
        bare: print no line before the first log.
    """

    def __init__(self, *, as_json: bool, bare: bool) -> None:
        self._as_json, self._bare = as_json, bare
        self._last: Source | None = None
        self._broken = False
        """Whether the last line has not ended."""

    def show(self, pieces: Iterable[tuple[Source, str]]) -> None:
        for source, text in pieces:
            if self._as_json:
                output.say_json(_to_json(source, text))
            else:
                self._change_to(source)
                output.say_log(text)
                self._broken = not text.endswith("\n")
        output.flush()

    def _change_to(self, source: Source) -> None:
        if source is self._last:
            return
        self.end()
        if self._last is not None or not self._bare:
            output.say(log_head(source.node_id, source.item, source.attempt))
        self._last = source

    def end(self) -> None:
        """End the last line."""
        if self._broken:
            output.say()
        self._broken = False


def _to_json(source: Source, text: str) -> dict[str, Any]:
    return {
        "node_id": source.node_id,
        "item": source.item,
        "attempt": source.attempt,
        "text": text,
    }

"""What the nodes of a run wrote and write, as far as it lies on this machine."""

import math
import time
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Protocol

import attrs
import trio

from dagrun.domain.events import Event, Type
from dagrun.domain.explain import see_log
from dagrun.domain.fold import replay
from dagrun.domain.handlers import handler_id
from dagrun.domain.ids import RunId
from dagrun.domain.state import NodeState, RunState, Work
from dagrun.domain.workflow import Workflow
from dagrun.errors import NotFound
from dagrun.ports.management import LogPiece
from dagrun.services.node_logs import NodeLogs, Reading

UTF8: Final = getincrementaldecoder("utf-8")
LATE: Final = 2.0
"""Seconds for which more of a log may come from an engine elsewhere, after an attempt has ended or
something came: what happens to runs goes before what they print."""

PIECE: Final = 64 * 1024  # bytes of a log that are read at once, and the longest line that waits
LOOK: Final = 0.2  # seconds between looks at files that somebody writes

_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Wish = tuple[str | None, int | None, int | None]
"""The node, the item and the attempt whose logs are wanted; None for all."""


class LooksAt(Protocol):
    """Looks at the journal of a run; see the management's looks."""

    def at(
        self, run_id: RunId, *, after: int = 0, patience: float | None = ...
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Give what each look finds."""
        ...


def check_known(workflow: Workflow, run_id: str, node_id: str | None) -> None:
    """Refuse what the workflow does not have; a handler may yet come."""
    known = {node.id for node in workflow.nodes} | set(map(handler_id, workflow.handlers))
    if node_id is not None and node_id not in known:
        raise NotFound(f"run {run_id} has no node {node_id!r}")


def check_tried(
    state: RunState, node_id: str | None, item: int | None, attempt: int | None
) -> None:
    """Refuse what was never tried; an attempt that printed nothing is another thing.

    Raises:
        NotFound: the run has no such node, or there was no such attempt or item.
    """
    nodes = [*state.nodes, *state.due] if node_id is None else [node_of(state, node_id)]
    kept = next((work for work in _works(nodes, item) if work.kept_from is not None), None)
    if attempt is None and (item is None or kept is not None):
        return
    if 1 <= (1 if attempt is None else attempt) <= max(_tried(node, item) for node in nodes):
        return
    asked = {"attempt": attempt, "item": item}
    words = [f"{word} {number}" for word, number in asked.items() if number is not None]
    what = " of ".join([*words, *([node_id] if node_id else [])])
    if attempt is None and _is_unstarted(nodes, item):
        raise NotFound(f"run {state.run_id} has no log of {what}: it was never started")
    raise NotFound(f"run {state.run_id} has no {what}{_why(nodes, item, kept)}")


def _works(nodes: Sequence[NodeState], item: int | None) -> Sequence[Work]:
    """Give what of some nodes was taken up: themselves, or their items of an index."""
    if item is None:
        return nodes
    return [node.items[item] for node in nodes if item in node.items]


def _why(nodes: Sequence[NodeState], item: int | None, kept: Work | None) -> str:
    """Say why there is no such attempt or item, if there is more to say."""
    if kept is not None and kept.kept_from is not None:
        return f": it was kept; {see_log(kept.kept_from, kept.node.step.node.id, item)}"
    most = _count(nodes)
    if item is None or most == 0 or 0 <= item < most:
        return ""
    return f"; items are counted from 0, and the last one is {most - 1}"


def _is_unstarted(nodes: Sequence[NodeState], item: int | None) -> bool:
    """Whether there is such an item, of which no attempt is known."""
    return item is not None and 0 <= item < _count(nodes)


def _count(nodes: Sequence[NodeState]) -> int:
    """Give how many items the node has that has the most."""
    return max(len(node.values or ()) for node in nodes)


def node_of(state: RunState, node_id: str) -> NodeState:
    """Give a node of a run, or a handler that has its turn.

    Raises:
        NotFound: there is none of this id.
    """
    try:
        return state.node(node_id)
    except KeyError:
        raise NotFound(f"run {state.run_id} has no node {node_id!r}") from None


def _tried(node: NodeState, item: int | None) -> int:
    """Give how many attempts of an item there were; of any item, or of the node, for None."""
    if item is not None:
        return node.items[item].attempt if item in node.items else 0
    return max([node.attempt, *(work.attempt for work in node.items.values())])


@attrs.define(eq=False)
class Source:
    """The log of one attempt, and how far it was read."""

    node_id: str
    item: int | None
    attempt: int
    reading: Reading
    came_at: float = -math.inf
    """When something came of it, or it was begun anew, by the tail's clock."""

    ends_at: float = math.inf
    """When nothing more is written to it, by the tail's clock."""

    ended: bool = False
    """Whether that is over."""

    _line: str = attrs.field(default="", init=False)
    """The beginning of a line whose end has not come."""

    _decoder: IncrementalDecoder = attrs.field(factory=lambda: UTF8(errors="replace"), init=False)

    def pieces(self, now: float, late: float) -> Iterator[str]:
        """Give what is new in whole lines, and the beginning of one if nothing more came.

        Args:
            now: the time, by the tail's clock.
            late: seconds for which more is expected of what an engine wrote, after something came.
        """
        came = False
        while data := self.reading.take(PIECE, settled=self._is_settled(now, late)):
            came, self.came_at = True, now
            yield from self._whole(self._decoder.decode(data))
        if self.ended:
            self._line += self._decoder.decode(b"", final=True)
        if self._line and (self.ended or not came):
            yield self._line
            self._line = ""

    def _is_settled(self, now: float, late: float) -> bool:
        return self.ended or self.came_at + late <= now

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
            elif self._wants(key):
                self._begin(key, event.epoch)

    def _begin(self, key: tuple[str, int | None, int], epoch: int) -> None:
        """Read an attempt, or wait for what may be on its way of it if it is made again."""
        if key not in self._open:
            node_id, item, attempt = key
            reading = self._logs.reading(self._run_id, node_id, attempt, item, first=epoch)
            self._open[key] = Source(*key, reading)
        self._open[key].came_at = self._clock()

    def _wants(self, key: tuple[str, int | None, int]) -> bool:
        return all(wish in (None, part) for wish, part in zip(self._wanted, key, strict=True))

    def new(self) -> Iterator[tuple[Source, str]]:
        """Give what is new in them."""
        now = self._clock()
        for key, source in list(self._open.items()):
            source.ended = source.ends_at <= now
            for text in source.pieces(now, self._late):
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


class RunLogs:
    """Reads the logs of runs.

    Args:
        logs: where they are.
    """

    def __init__(self, logs: NodeLogs) -> None:
        self._logs = logs

    async def so_far(self, state: RunState, wish: Wish) -> AsyncGenerator[LogPiece, None]:
        """Give what was written, attempt by attempt, in the order of the nodes' first starts.

        Raises:
            NotFound: there is no such node, item or attempt.
        """
        node_id, item, attempt = wish
        check_tried(state, node_id, item, attempt)
        for name in [node_id] if node_id is not None else _by_start(state):
            for index, number in await trio.to_thread.run_sync(
                self._logs.attempts, state.run_id, name
            ):
                if item in (None, index) and attempt in (None, number):
                    reading = self._logs.reading(state.run_id, name, number, index)
                    source = Source(name, index, number, reading, ended=True)
                    async with aclosing(self._pieces(source)) as pieces:
                        async for piece in pieces:
                            yield piece

    async def followed(
        self,
        state: RunState,
        events: Iterable[Event],
        wish: Wish,
        looks: LooksAt,
        *,
        late: float = LATE,
    ) -> AsyncGenerator[LogPiece, None]:
        """Give what was written and is written, until the run or its process has ended.

        Args:
            state: the run.
            events: its journal so far.
            wish: whose logs.
            looks: tells of what comes.
            late: seconds for which more may come, after an attempt has ended or something came.

        Raises:
            NotFound: there is no such node; or, in the end, no such item or attempt.
        """
        node_id, item, attempt = wish
        check_known(state.plan.workflow, state.run_id, node_id)
        tail = Tail(self._logs, state.run_id, node=node_id, item=item, attempt=attempt, late=late)
        tail.see(events)
        batches = looks.at(state.run_id, after=state.seq, patience=LOOK)
        async with aclosing(batches):
            async for batch in batches:
                replay(state, list(batch))
                tail.see(batch)
                for piece in await trio.to_thread.run_sync(lambda: list(tail.new())):
                    yield _piece(*piece)
        while tail.expects():
            await trio.sleep(LOOK)
            for piece in await trio.to_thread.run_sync(lambda: list(tail.new())):
                yield _piece(*piece)
        for piece in await trio.to_thread.run_sync(lambda: list(tail.rest())):
            yield _piece(*piece)
        check_tried(state, node_id, item, attempt)

    async def _pieces(self, source: "Source") -> AsyncGenerator[LogPiece, None]:
        """Read a log piece by piece; it may have many megabytes."""
        pieces = source.pieces(0.0, 0.0)
        nothing_came = True
        while (text := await trio.to_thread.run_sync(next, pieces, None)) is not None:
            nothing_came = False
            yield _piece(source, text)
        if nothing_came:
            yield _piece(source, "")


def _piece(source: "Source", text: str) -> LogPiece:
    return LogPiece(node_id=source.node_id, item=source.item, attempt=source.attempt, text=text)


def _by_start(state: RunState) -> list[str]:
    """List the nodes and handlers that have started, in that order."""
    nodes = [*state.nodes, *state.due]
    started = [node for node in nodes if node.started_at is not None]
    ordered = sorted(started, key=lambda node: node.started_at or _NEVER)
    return [node.step.node.id for node in ordered]

"""Progress on standard error: a live tree on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import trio

from dagrun.cli import output
from dagrun.cli.board import CUT_OFF, Board, Row, event_note, interesting
from dagrun.cli.visible import visible
from dagrun.domain.durations import format_duration
from dagrun.domain.events import Event, Type
from dagrun.domain.status import NODE_ENDED, NodeStatus

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

REFRESH: Final = 0.1  # seconds between pictures
TELL: Final = 30.0  # seconds between plain lines that tell how many items have ended
AROUND: Final = 3  # lines of a picture that no node has: the first, the last, and the cursor's
LONGEST: Final = 1000  # characters of a note that a line is made from; no terminal is as wide
DUMB: Final = ("", "dumb", "unknown")  # values of TERM; such a terminal cannot be drawn on
_MARKS: Final = {
    NodeStatus.PENDING: ("·", "dim"),
    NodeStatus.READY: ("○", "cyan"),
    NodeStatus.RUNNING: ("●", "bold cyan"),
    NodeStatus.RETRYING: ("↻", "yellow"),
    NodeStatus.WAITING: ("○", "cyan"),
    NodeStatus.SUCCEEDED: ("✓", "green"),
    NodeStatus.FAILED: ("✗", "bold red"),
    NodeStatus.SKIPPED: ("–", "dim"),
    NodeStatus.CANCELLED: ("■", "yellow"),
}


class Progress(Protocol):
    """Shows how a run goes."""

    def see(self, events: Sequence[Event]) -> None:
        """Take in events that are durable."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Draw until cancelled, and leave the last picture on the screen."""
        ...


def open_progress(board: Board, *, run_id: str) -> Progress:
    """Choose the display that fits standard error."""
    can_draw = sys.stderr.isatty() and os.environ.get("TERM", DUMB[0]) not in DUMB
    return LiveTree(board, run_id) if can_draw else PlainLines(board, run_id)


class PlainLines:
    """One line for each node that starts over again or ends, and now and then how far items are."""

    def __init__(self, board: Board, run_id: str) -> None:
        self._board = board
        output.note(f"run {run_id}: {board.workflow.id} {board.workflow.version}")

    def see(self, events: Sequence[Event]) -> None:
        """Write what has changed."""
        for event in events:
            if event.type is Type.NODE_RETRYING and event.item is not None:
                output.note(f"  ↻ {event.node_id}[{event.item}]  retrying  {event_note(event)}")
        for row in self._board.see(events):
            if row.status in NODE_ENDED or row.status in (NodeStatus.RETRYING, NodeStatus.WAITING):
                output.note("  " + plain_line(self._board, row))
        if self._board.finished_at is not None:
            output.note(headline(self._board))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write how many items have ended; other lines are written as events arrive."""
        task_status.started()
        told: dict[str, int] = {}
        while True:
            await trio.sleep(TELL)
            for row in self._board.rows.values():
                ended = row.items.total()
                if row.status is NodeStatus.RUNNING and ended != told.get(row.node_id, 0):
                    output.note("  " + plain_line(self._board, row))
                    told[row.node_id] = ended


def plain_line(board: Board, row: Row) -> str:
    """Give a node's row as text: ``✓ extract  succeeded  0.12s  attempt 2``."""
    seconds = row.seconds(_now(board, row))
    parts = [
        f"{_mark(board, row)[0]} {row.node_id}",
        board.state_of(row),
        "" if seconds is None else format_duration(seconds),
        row.detail(),
        board.note_of(row),
    ]
    return "  ".join(filter(None, parts))


def _mark(board: Board, row: Row) -> tuple[str, str]:
    """Give a row's mark and its style."""
    cut_off = board.state_of(row) == CUT_OFF
    return _MARKS[NodeStatus.CANCELLED if cut_off else row.status]


def _now(board: Board, row: Row | None = None) -> datetime | None:
    """Give the time for what goes on, of a run or a row; None if nothing does."""
    left = board.cut_off or (row is not None and board.is_left(row))
    return None if left else datetime.now(UTC)


class LiveTree:
    """A tree of nodes with state and time that is drawn again and again."""

    def __init__(self, board: Board, run_id: str) -> None:
        self._board = board
        self._run_id = run_id

    def see(self, events: Sequence[Event]) -> None:
        """Remember what has changed for the next picture."""
        self._board.see(events)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Draw until cancelled, or until there is nothing left to draw on."""
        task_status.started()
        try:
            await self._draw()
        except OSError:
            await trio.sleep_forever()

    async def _draw(self) -> None:
        from rich.console import Console  # noqa: PLC0415 — only a terminal pays for rich
        from rich.live import Live  # noqa: PLC0415 — as above

        console = Console(stderr=True)
        with Live(console=console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    live.update(picture(self._board, self._run_id, console.height), refresh=True)
                    await trio.sleep(REFRESH)
            finally:
                live.update(picture(self._board, self._run_id, console.height), refresh=True)


def picture(board: Board, run_id: str, height: int) -> "Tree":
    """Draw a run in at most ``height`` lines; what does not fit into a line is cut off."""
    from rich.tree import Tree  # noqa: PLC0415 — only a terminal pays for rich

    tree = Tree(_cropped(f"{headline(board)}  ({run_id})"), guide_style="dim")
    rows = list(board.rows.values())
    shown = interesting(rows, max(height - AROUND, 1))
    for row in shown:
        tree.add(_rich_line(board, row))
    if len(shown) < len(rows):
        tree.add(_cropped(f"… {len(rows)} nodes: {board.summary()}"))
    return tree


def _cropped(text: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415 — as above

    return Text(text, no_wrap=True, overflow="ellipsis")


def headline(board: Board) -> str:
    """Give a run as text: ``etl 1.0.0  succeeded  1.20s``."""
    workflow = board.workflow
    return f"{workflow.id} {workflow.version}  {board.state()}  {_took(board)}".rstrip()


def _took(board: Board) -> str:
    end = board.finished_at or _now(board)
    if board.started_at is None or end is None:
        return ""
    return format_duration(max((end - board.started_at).total_seconds(), 0.0))


def _rich_line(board: Board, row: Row) -> "Text":
    mark, style = _mark(board, row)
    seconds = row.seconds(_now(board, row))
    line = _cropped("")
    line.append(f"{mark} ", style).append(row.node_id, "bold" if style != "dim" else "dim")
    line.append(f"  {board.state_of(row)}", style)
    if seconds is not None:
        line.append(f"  {format_duration(seconds)}", "dim")
    if row.detail():
        line.append(f"  {row.detail()}", "dim")
    if note := board.note_of(row):
        note = visible(note[:LONGEST])
        line.append(f"  {note}", "red" if row.status is NodeStatus.FAILED else "dim")
    return line

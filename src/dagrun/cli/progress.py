"""Progress on standard error: a live tree on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import trio

from dagrun.cli import output
from dagrun.cli.board import Board, Row, event_note, interesting
from dagrun.domain.durations import format_duration
from dagrun.domain.events import Event, Type
from dagrun.domain.status import NODE_ENDED, NodeStatus

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text
    from rich.tree import Tree

REFRESH: Final = 0.1  # seconds between pictures
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
    return LiveTree(board, run_id) if sys.stderr.isatty() else PlainLines(board, run_id)


class PlainLines:
    """One line for each node that starts over again or ends."""

    def __init__(self, board: Board, run_id: str) -> None:
        self._board = board
        output.note(f"run {run_id}: {board.workflow.id} {board.workflow.version}")

    def see(self, events: Sequence[Event]) -> None:
        """Write what has changed."""
        for event in events:
            if event.type is Type.NODE_RETRYING and event.item is not None:
                output.note(f"  ↻ {event.node_id}[{event.item}]  retrying  {event_note(event)}")
        for row in self._board.see(events):
            if row.status in NODE_ENDED or row.status is NodeStatus.RETRYING:
                output.note("  " + plain_line(row))
        if self._board.finished_at is not None:
            output.note(headline(self._board))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do nothing: lines are written as events arrive."""
        task_status.started()
        await trio.sleep_forever()


def plain_line(row: Row) -> str:
    """Give a node's row as text: ``✓ extract  succeeded  0.12s  attempt 2``."""
    seconds = row.seconds(datetime.now(UTC))
    time = "" if seconds is None else format_duration(seconds)
    note = f"  {row.note}" if row.note else ""
    head = f"{_MARKS[row.status][0]} {row.node_id}  {row.status}  {time}  {row.detail()}"
    return head.rstrip() + note


class LiveTree:
    """A tree of nodes with state and time that is drawn again and again."""

    def __init__(self, board: Board, run_id: str) -> None:
        self._board = board
        self._run_id = run_id
        self._live: Live | None = None

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
        from rich.live import Live  # noqa: PLC0415

        console = Console(stderr=True)
        with Live(console=console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    live.update(self._picture(console.height), refresh=True)
                    await trio.sleep(REFRESH)
            finally:
                live.update(self._picture(console.height), refresh=True)

    def _picture(self, height: int) -> "Tree":
        from rich.tree import Tree  # noqa: PLC0415

        tree = Tree(headline(self._board) + f"  ({self._run_id})", guide_style="dim")
        rows = list(self._board.rows.values())
        shown = interesting(rows, max(height - 4, 5))
        for row in shown:
            tree.add(_rich_line(row))
        if len(shown) < len(rows):
            tree.add(f"… {len(rows)} nodes: {self._board.summary()}")
        return tree


def headline(board: Board) -> str:
    """Give a run as text: ``etl 1.0.0  succeeded  1.20s``."""
    workflow = board.workflow
    end = board.finished_at or datetime.now(UTC)
    took = "" if board.started_at is None else format_duration(_seconds(board.started_at, end))
    return f"{workflow.id} {workflow.version}  {board.state()}  {took}".rstrip()


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)


def _rich_line(row: Row) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    mark, style = _MARKS[row.status]
    seconds = row.seconds(datetime.now(UTC))
    line = Text.assemble((f"{mark} ", style), (row.node_id, "bold" if style != "dim" else "dim"))
    line.append(f"  {row.status}", style)
    if seconds is not None:
        line.append(f"  {format_duration(seconds)}", "dim")
    if row.detail():
        line.append(f"  {row.detail()}", "dim")
    if row.note:
        line.append(f"  {row.note}", "red" if row.status is NodeStatus.FAILED else "dim")
    line.truncate(200, overflow="ellipsis")
    return line

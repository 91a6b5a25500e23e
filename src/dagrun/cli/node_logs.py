"""``dagrun runs logs``: what the nodes of a run wrote, and write."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dagrun.cli import output
from dagrun.cli.asking import ask
from dagrun.cli.broken_off import saying_how_to_go_on
from dagrun.cli.options import Asked
from dagrun.cli.watch import note_cut_off
from dagrun.domain.explain import see_log
from dagrun.domain.result import RunResult
from dagrun.domain.status import stands
from dagrun.ports.management import LogPiece, Management

Where = tuple[str, int | None, int]
"""Node, item and attempt."""


def show_logs(
    asked: Asked, run_id: str, *, node: str | None, item: int | None, attempt: int | None
) -> int:
    """Print what nodes wrote, in the order of their first starts. Give the exit code.

    Raises:
        NotFound: there is no such run, node, item or attempt.
    """

    async def act(management: Management) -> tuple[list[LogPiece], str | None]:
        async with management.runs.logs(run_id, node_id=node, item=item, attempt=attempt) as pieces:
            kept = [piece async for piece in pieces]
        if asked.json or any(piece.text for piece in kept):
            return kept, None
        return kept, await _silence(management, run_id, node, item)

    pieces, silence = ask(asked, act)
    items = _joined(pieces)
    if asked.json:
        output.say_json({"items": items, "next": None})
        return output.DONE
    _say_logs(items)
    if silence is not None:
        output.note(f"dagrun: {silence}")
    return output.DONE


def follow_logs(
    asked: Asked, run_id: str, *, node: str | None, item: int | None, attempt: int | None
) -> int:
    """Print what nodes wrote and write, until the run or its process has ended. Give the exit code.

    Raises:
        NotFound: there is no such run or node, or in the end no such attempt.
    """
    printer = Printer(as_json=asked.json, bare=node is not None)
    begun = False

    async def act(management: Management) -> tuple[RunResult, str | None]:
        nonlocal begun
        async with management.runs.logs(
            run_id, node_id=node, item=item, attempt=attempt, follow=True
        ) as pieces:
            begun = True
            async for piece in pieces:
                printer.show(piece)
        printer.end()
        result = (await management.runs.get(run_id)).result
        if asked.json or printer.has_printed:
            return result, None
        return result, await _silence(management, run_id, node, item)

    which = {"--item": item, "--attempt": attempt}
    given = [word for flag, n in which.items() if n is not None for word in (flag, str(n))]
    again = ["runs", "logs", run_id, *([] if node is None else [node]), *given, "--follow"]
    with saying_how_to_go_on(asked, lambda: again if begun else None):
        result, silence = ask(asked, act)
    if silence is not None:
        output.note(f"dagrun: {silence}")
    note_cut_off(result)
    return output.DONE


def _joined(pieces: Sequence[LogPiece]) -> list[dict[str, Any]]:
    """Put the pieces of each log together."""
    texts: dict[Where, list[str]] = {}
    for piece in pieces:
        texts.setdefault((piece.node_id, piece.item, piece.attempt), []).append(piece.text)
    return [
        {"node_id": node_id, "item": item, "attempt": attempt, "text": "".join(parts)}
        for (node_id, item, attempt), parts in texts.items()
    ]


def _say_logs(items: Sequence[Mapping[str, Any]]) -> None:
    """Print whole logs, with a line before each if there are several."""
    for entry in items:
        if len(items) > 1:
            output.say(_head(entry["node_id"], entry["item"], entry["attempt"]))
        output.say_log(entry["text"])
        if entry["text"] and not entry["text"].endswith("\n"):
            output.say()


async def _silence(
    management: Management, run_id: str, node_id: str | None, item: int | None
) -> str:
    """Say of what wrote nothing how it went, and where its child runs wrote."""
    result = (await management.runs.get(run_id)).result
    children = [
        child.run.run_id
        for child in await management.runs.children(run_id)
        if node_id in (None, child.node_id) and item in (None, child.item)
    ]
    return _how_it_went(result, node_id, item) + _where_children_wrote(run_id, children)


def _how_it_went(result: RunResult, node_id: str | None, item: int | None) -> str:
    if node_id is None:
        return f"no node of run {result.run_id} wrote anything"
    node = next(one for one in (*result.nodes, *(result.handlers or ())) if one.id == node_id)
    work = node if item is None else (node.items or ())[item]
    what = node_id if item is None else f"item {item} of {node_id}"
    if work.kept_from is not None:
        return f"{what} was kept: {see_log(work.kept_from, node_id, item)}"
    why = f": {work.error['type']}: {work.error['message']}" if work.error else ""
    return f"{what} wrote nothing; it {stands(work.status)}{why}"


def _where_children_wrote(run_id: str, children: Sequence[str]) -> str:
    if not children:
        return ""
    if len(children) == 1:
        return f"; for its child run, see: dagrun runs logs {children[0]}"
    return f"; its child runs have logs of their own: dagrun runs tree {run_id} lists them"


def _head(node_id: str, item: int | None, attempt: int) -> str:
    """Give the line before a log, where there are several."""
    index = "" if item is None else f"[{item}]"
    return f"==> {node_id}{index}, attempt {attempt} <=="


class Printer:
    """Prints pieces of logs, with a line between those of different attempts.

    Args:
        as_json: print an object for each piece.
        bare: print no line before the first log.
    """

    def __init__(self, *, as_json: bool, bare: bool) -> None:
        self._as_json, self._bare = as_json, bare
        self._last: Where | None = None
        self._broken = False
        """Whether the last line has not ended."""

        self.has_printed = False
        """Whether there was any text."""

    def show(self, piece: LogPiece) -> None:
        """Print a piece."""
        self.has_printed = self.has_printed or bool(piece.text)
        if self._as_json:
            output.say_json(attrs.asdict(piece))
        else:
            self._change_to((piece.node_id, piece.item, piece.attempt))
            output.say_log(piece.text)
            self._broken = not piece.text.endswith("\n")
        output.flush()

    def _change_to(self, where: Where) -> None:
        if where == self._last:
            return
        self.end()
        if self._last is not None or not self._bare:
            output.say(_head(*where))
        self._last = where

    def end(self) -> None:
        """End the last line."""
        if self._broken:
            output.say()
        self._broken = False

"""``dagrun runs logs --follow``: what the nodes of a run write, while they write it."""

from collections.abc import Iterable
from typing import Any

import trio

from dagrun.builtin.ownership import ORCHESTRATOR
from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import check_run, with_store
from dagrun.cli.runs import log_head
from dagrun.cli.watch import looks
from dagrun.domain.explain import how_to_go_on
from dagrun.domain.ids import RunId
from dagrun.domain.plan import compile_plan
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED
from dagrun.ports.management import LogPiece
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.local import LOGS
from dagrun.roles.run_logs import LATE, LOOK, Source, Tail, check_known, check_tried
from dagrun.roles.stored_runs import stored_workflow
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import handling
from dagrun.settings import Settings


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
        check_known(workflow, run_id, node)
        plan = compile_plan(workflow, handling(registry))
        state = RunState(plan, record.run_id, record.inputs)
        late = LATE if record.owner == ORCHESTRATOR else 0.0
        tail = Tail(logs, run_id, node=node, item=item, attempt=attempt, late=late)
        printer = Printer(as_json=as_json, bare=node is not None)
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


Where = tuple[str, int | None, int]
"""Node, item and attempt."""


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

    def show(self, pieces: Iterable[tuple[Source | LogPiece, str]]) -> None:
        """Print some pieces."""
        for source, text in pieces:
            if self._as_json:
                output.say_json(_to_json(source, text))
            else:
                self._change_to(source)
                output.say_log(text)
                self._broken = not text.endswith("\n")
        output.flush()

    def _change_to(self, source: Source | LogPiece) -> None:
        where = (source.node_id, source.item, source.attempt)
        if where == self._last:
            return
        self.end()
        if self._last is not None or not self._bare:
            output.say(log_head(*where))
        self._last = where

    def end(self) -> None:
        """End the last line."""
        if self._broken:
            output.say()
        self._broken = False


def _to_json(source: Source | LogPiece, text: str) -> dict[str, Any]:
    return {
        "node_id": source.node_id,
        "item": source.item,
        "attempt": source.attempt,
        "text": text,
    }

"""What a command that executed a run, or had it executed, tells people of its end."""

from collections.abc import Callable, Sequence
from typing import Final

from dagrun.cli import output
from dagrun.domain.explain import see_log
from dagrun.domain.result import NodeResult, RunResult
from dagrun.domain.status import NodeStatus
from dagrun.domain.workflow import Workflow

NAMED: Final = 10  # nodes that failed, of which the names are said


def failed_nodes(result: RunResult, workflow: Workflow) -> list[str]:
    """List the nodes that failed where that is not allowed."""
    allowed = {node.id for node in workflow.nodes if node.allow_failure}
    return [
        node.id
        for node in result.nodes
        if node.status is NodeStatus.FAILED and node.id not in allowed
    ]


def failed_handlers(result: RunResult) -> list[NodeResult]:
    """List the handlers that failed; the run's result is what it is."""
    return [handler for handler in result.handlers or () if handler.error is not None]


def say_end(result: RunResult, failed: Sequence[str], wrote: Callable[[str], bool]) -> None:
    """Say how a run went, and where there is more to read of it.

    Args:
        result: tells it.
        failed: the nodes that failed where that is not allowed.
        wrote: whether a node or a handler wrote anything.
    """
    if result.error is not None:
        output.note(f"dagrun: {result.error['message']}")
        if len(failed) > 1:
            more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            output.note(f"dagrun: {len(failed)} nodes failed: {', '.join(failed[:NAMED])}{more}")
        if (first := next(filter(wrote, failed), None)) is not None:
            output.note(f"dagrun: {see_log(result.run_id, first)}")
    for handler in failed_handlers(result):
        assert handler.error is not None  # noqa: S101 — it failed
        output.note(f"dagrun: warning: {handler.id} failed: {handler.error['message']}")
        if wrote(handler.id):
            output.note(f"dagrun: {see_log(result.run_id, handler.id)}")
    if result.outputs:
        output.say_value(result.outputs)

"""Child runs: which workflows call which, and how deep."""

from collections.abc import Mapping
from typing import Final

from dagrun.domain.templates import has_mark
from dagrun.domain.workflow import Workflow

TYPE: Final = "workflow"
"""Type of the executor that runs another workflow."""

DEPTH: Final = 16
"""Most runs that may be above a child run."""


def calls(workflow: Workflow) -> frozenset[str]:
    """Give the ids of the workflows that one runs, as far as its document says them.

    >>> from dagrun.domain.workflow import Node
    >>> loads = Node("load", executor={"type": "workflow", "id": "loader"})
    >>> calls(Workflow("nightly", "1.0.0", nodes=[loads]))
    frozenset({'loader'})
    """
    return frozenset(workflow_id for workflow_id, _ in versions_called(workflow))


def versions_called(workflow: Workflow) -> frozenset[tuple[str, str | None]]:
    """Give the same ids with the ranges of versions that go with them; None if nothing is said.

    A range that is known at run time only is ``*``.
    """
    specs = [node.executor for node in workflow.nodes]
    specs += [handler.executor for handler in workflow.handlers.values()]
    found = set()
    for options in (spec.options for spec in specs if spec.type == TYPE):
        workflow_id, version = options.get("id"), options.get("version")
        if isinstance(workflow_id, str) and not has_mark(workflow_id):
            if version is not None and (not isinstance(version, str) or has_mark(version)):
                version = "*"
            found.add((workflow_id, version))
    return frozenset(found)


def circle(calls_of: Mapping[str, frozenset[str]], start: str) -> tuple[str, ...] | None:
    """Give a way on which a workflow comes to call itself; None if there is none.

    >>> circle({"a": frozenset({"b"}), "b": frozenset({"a"})}, "a")
    ('a', 'b', 'a')

    Args:
        calls_of: workflow → those that it calls; what is not there calls none.
        start: the workflow.
    """
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for called in sorted(calls_of.get(way[-1], ())):
            if called == start:
                return (*way, called)
            if called not in seen:
                seen.add(called)
                ways.append((*way, called))
    return None

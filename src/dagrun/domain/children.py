"""Child runs: which workflows call which, and how deep."""

from collections.abc import Mapping
from typing import Final

from dagrun.domain.templates import has_mark
from dagrun.domain.workflow import Workflow

TYPE: Final = "workflow"
"""Type of the executor that runs another workflow."""

DEPTH: Final = 16
"""Most runs that may be above a child run."""


def versions_called(workflow: Workflow) -> frozenset[tuple[str, str | None]]:
    """Give the ids of the workflows that one runs, as far as its document says them, and ranges.

    That is the range of versions; None if nothing is said, and ``*`` if it is known at run time only.

    >>> from dagrun.domain.workflow import Node
    >>> loads = Node("load", executor={"type": "workflow", "id": "loader", "version": "^1"})
    >>> versions_called(Workflow("nightly", "1.0.0", nodes=[loads]))
    frozenset({('loader', '^1')})
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
    """Give a way on which a version of a workflow comes to call itself; None if there is none.

    >>> circle({"a": frozenset({"b"}), "b": frozenset({"a"})}, "a")
    ('a', 'b', 'a')

    Args:
        calls_of: version → those that it calls; what is not there calls none.
        start: the version.
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

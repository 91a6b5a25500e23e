"""What follows from the dependencies of nodes: cycles and ancestors."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, Sequence[str]]
"""Node → its direct dependencies."""


def find_cycle(graph: Graph) -> list[str] | None:
    """Give the nodes of a cycle, each depending on the one behind it; None without one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return None


def is_ancestor(graph: Graph, node: str, wanted: str) -> bool:
    """Whether ``node`` depends on ``wanted``, directly or through others."""
    seen, waiting = {node}, list(graph.get(node, ()))
    while waiting:
        current = waiting.pop()
        if current == wanted:
            return True
        if current not in seen:
            seen.add(current)
            waiting.extend(graph.get(current, ()))
    return False

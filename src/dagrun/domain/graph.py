"""What follows from the dependencies of nodes: cycles and ancestors."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Final

Graph = Mapping[str, Sequence[str]]
"""Node → its direct dependencies."""

_AT_ONCE: Final = 2048
"""Ancestors that are looked for in one pass; each node holds so many bits meanwhile."""


def find_cycle(graph: Graph) -> list[str] | None:
    """Give the nodes of a cycle, each depending on the one behind it; None without one.

    >>> find_cycle({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})
    ['a', 'b', 'c', 'a']
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return None


def strangers(graph: Graph, questions: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Give those pairs of node and other node of which the other is no ancestor.

    The time grows with the size of the graph, once for every 2,048 different ancestors asked
    for, so that 10,000 nodes that all look far up are answered in a few hundredths of a second.

    >>> strangers({"a": [], "b": ["a"], "c": ["b"], "d": []}, [("c", "a"), ("c", "d")])
    {('c', 'd')}

    Args:
        graph: all nodes; it has no cycle.
        questions: pairs of nodes of the graph.
    """
    if not questions:
        return set()
    order = tuple(TopologicalSorter(graph).static_order())
    wanted = iter(dict.fromkeys(other for _, other in questions))
    found: set[tuple[str, str]] = set()
    while some := tuple(islice(wanted, _AT_ONCE)):
        bits = {name: 1 << number for number, name in enumerate(some)}
        above = _ancestors(graph, order, bits)
        found.update((node, other) for node, other in questions if bits.get(other, 0) & above[node])
    return set(questions) - found


def _ancestors(graph: Graph, order: Iterable[str], bits: Mapping[str, int]) -> dict[str, int]:
    """Give for each node the bits of those ancestors that have one."""
    above: dict[str, int] = {}
    for node in order:
        mask = 0
        for dependency in graph.get(node, ()):
            mask |= above[dependency] | bits.get(dependency, 0)
        above[node] = mask
    return above


def below(graph: Graph, nodes: Collection[str]) -> set[str]:
    """Give some nodes and all that depend on them, near or far.

    >>> sorted(below({"a": [], "b": ["a"], "c": ["b"], "d": []}, ["a"]))
    ['a', 'b', 'c']

    Args:
        graph: all nodes; it has no cycle.
        nodes: where to begin.
    """
    found = set(nodes)
    for node in TopologicalSorter(graph).static_order() if found else ():
        if not found.isdisjoint(graph.get(node, ())):
            found.add(node)
    return found

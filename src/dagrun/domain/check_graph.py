"""Whether nodes depend on each other as they may, and expressions name only what came before."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError
from typing import Final

from dagrun.domain.document.places import Finding, Path, Spelling, nearest
from dagrun.domain.expressions import Expression
from dagrun.domain.graph import below, find_cycle, strangers
from dagrun.domain.ids import is_id
from dagrun.domain.workflow import Node, Workflow

ID: Final = "an id has 1 to 128 letters, digits, _ and -"


def check_id(text: str, path: Path) -> Iterator[Finding]:
    """Check what an id looks like."""
    if not is_id(text):
        shown = repr(text) if len(text) <= 60 else f"a text of {len(text)} characters"
        yield Finding(path=path, message=f"{shown} is no id: {ID}")


def check_graph(nodes: Sequence[Node], spelling: Spelling) -> Iterator[Finding]:
    """Check ids and dependencies: unique, known, without a cycle."""
    if not nodes:
        yield Finding(path=("spec", "nodes"), message="a workflow has at least one node")
    counts = Counter(node.id for node in nodes)
    for number, node in enumerate(nodes):
        path: Path = ("spec", "nodes", number)
        yield from check_id(node.id, (*path, "id"))
        if counts[node.id] > 1:
            message = f"{node.id!r} is the id of {counts[node.id]} nodes"
            yield Finding(path=(*path, "id"), message=message)
        if node.dependencies:
            yield from _check_dependencies(node, path, counts, spelling)
    yield from _check_cycle(nodes)


def _check_dependencies(
    node: Node, path: Path, known: Mapping[str, int], spelling: Spelling
) -> Iterator[Finding]:
    seen = set[str]()
    for number, dependency in enumerate(node.dependencies):
        place = (*path, "dependencies", number)
        if dependency == node.id:
            yield Finding(path=place, message=f"the node {node.id!r} depends on itself")
        elif dependency not in known:
            message = f"there is no node {dependency!r}"
            yield Finding(path=place, message=message, suggestion=spelling.nearest(dependency))
        elif dependency in seen:
            yield Finding(path=place, message=f"{dependency!r} stands here twice")
        seen.add(dependency)


def _check_cycle(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Tell one cycle; what depends on itself was told before."""
    graph = {node.id: [one for one in node.dependencies if one != node.id] for node in nodes}
    cycle = find_cycle(graph)
    if cycle is None:
        return
    number = next(number for number, node in enumerate(nodes) if node.id == cycle[0])
    message = f"the nodes depend on each other in a circle: {_chain(cycle)}"
    yield Finding(path=("spec", "nodes", number, "dependencies"), message=message)


def _chain(cycle: Sequence[str]) -> str:
    """Write a cycle; of a long one the ends."""
    shown = cycle if len(cycle) <= 20 else [*cycle[:10], f"… {len(cycle) - 19} more …", *cycle[-9:]]
    return " → ".join(shown)


_TOLD: Final = 10  # fields that an error lists
FIELDS: Final[Mapping[str, Collection[str]]] = {
    "error": ("type", "message"),
    "run": ("id", "workflow_id", "version"),
}
"""Names of expressions that have the same fields in every workflow."""

_OF_ENDED: Final = frozenset({("run", "status"), ("run", "error")})


def known_fields(workflow: Workflow) -> Mapping[str, Collection[str]]:
    """Give the names of expressions of which all fields are known, with these fields."""
    inputs = workflow.inputs or {}
    known = {**FIELDS, "env": workflow.env}
    names = inputs.get("properties", {})
    closed = inputs.get("additionalProperties") is False and "patternProperties" not in inputs
    return {**known, "inputs": names} if closed and isinstance(names, Mapping) else known


def _has_outputs(node: Node) -> bool:
    properties = (node.outputs or {}).get("properties")
    return isinstance(properties, Mapping) and "outputs" in properties


class References:
    """Which nodes and fields the expressions of a workflow name, and whether they may.

    Whether one is an ancestor is looked up for all of them together, by :meth:`finish`.

    Args:
        workflow: whose they are.
        spelling: knows the ids of its nodes.
        unsure: ids of nodes that may have more dependencies than are known.
    """

    def __init__(
        self, workflow: Workflow, spelling: Spelling, unsure: Collection[str] = ()
    ) -> None:
        self._unsure = unsure
        self._graph = {node.id: node.dependencies for node in workflow.nodes}
        self._with_outputs = {node.id for node in workflow.nodes if _has_outputs(node)}
        """Ids of nodes that say that they have an output of this name."""

        self._fields = known_fields(workflow)
        self._direct: dict[str, frozenset[str]] = {}
        self._spelling = spelling
        self._asked: dict[tuple[str, str], list[Path]] = {}

    def check(
        self, expression: Expression, path: Path, node: Node | None, *, ended: bool = False
    ) -> Iterator[Finding]:
        """Check the nodes and fields that an expression names.

        Args:
            expression: what to look at.
            path: where it stands.
            node: whose expression it is; None for one that is evaluated when all have ended.
            ended: whether it sees how the run went.
        """
        for name in sorted(expression.nodes):
            meant = expression.hyphenated.get(name)
            if name not in self._graph:
                yield self._unknown(name, meant, path)
            elif name in expression.through_outputs and name not in self._with_outputs:
                message = f"the outputs stand in nodes.{name} itself, without .outputs"
                hint = f'; for one that is called so, write nodes["{name}"]["outputs"]'
                yield Finding(path=path, message=message + hint)
            elif node is not None and name not in self._dependencies(node):
                self._asked.setdefault((node.id, name), []).append(path)
        for name in (expression.names & self._fields.keys()) - expression.declared:
            for field in sorted(expression.fields[name].difference(self._fields[name])):
                added = name == "inputs" and field.startswith("_")  # by triggers
                if not added and not (ended and (name, field) in _OF_ENDED):
                    yield self._no_field(name, field, path)

    def _no_field(self, name: str, field: str, path: Path) -> Finding:
        known = self._fields[name]
        close = nearest(field, known)
        suggestion = None if close is None else f"{name}.{close}"
        others = f", but {', '.join(known)}" if known and suggestion is None else ""
        message = f"{name} has no {field!r}{others if len(known) <= _TOLD else ''}"
        return Finding(path=path, message=message, suggestion=suggestion)

    def _dependencies(self, node: Node) -> frozenset[str]:
        if node.id not in self._direct:
            self._direct[node.id] = frozenset(node.dependencies)
        return self._direct[node.id]

    def _unknown(self, name: str, meant: str | None, path: Path) -> Finding:
        if meant is not None and meant in self._graph:
            message = f"nodes.{meant} is read as a subtraction"
            return Finding(path=path, message=message, suggestion=f'nodes["{meant}"]')
        message = f"there is no node {name!r}"
        return Finding(path=path, message=message, suggestion=self._spelling.nearest(name))

    def finish(self) -> Iterator[Finding]:
        """Tell what names a node that is no ancestor. A cycle hides who comes before whom."""
        try:
            wrong = strangers(self._graph, self._asked)
            unsure = below(self._graph, self._unsure)
        except CycleError:
            return
        for (node, name), paths in self._asked.items():
            if (node, name) in wrong and node not in unsure:
                message = f"{name!r} is no ancestor of {node!r}; add it to its dependencies"
                yield from (Finding(path=path, message=message) for path in paths)

"""A document without what is wrong with it, so that what else is wrong is found at the same time.

What does not fit is taken out. What is missing then, and must be there, is put in, in such a way
that no check finds it right by chance; what the checks say of these places is not told.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from dagrun.domain.document.composer import plain
from dagrun.domain.document.places import Finding, Path

_HEAD: Final = {"apiVersion": "dagrun/v1", "kind": "Workflow"}
_METADATA: Final = {"id": "broken", "version": "0.0.0"}
_NO_TYPE: Final = ""  # nothing is called so
_UNLIKE: Final = "\0" * 16  # a name that begins so is like none that is written
_NODES: Final = ("spec", "nodes")


class Repair:
    """Makes a document right, step by step."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.document: dict[str, Any] = plain(root)
        self._places: set[Path] = set()
        """Where something was taken out or put in."""

        self._wrong: dict[Path, set[str | int | None]] = {}
        """Node → its keys among these places; None for the node itself."""

    def take_out(self, findings: Iterable[Finding]) -> None:
        """Take out what is wrong, and put in what has to be there."""
        for finding in findings:
            if not finding.missing:
                self._note(finding.path)
                _remove(self.document, finding.path)
        self.document |= _HEAD
        self._need((), self.document, metadata={}, spec={})
        self._need(("metadata",), self.document["metadata"], **_METADATA)
        self._fill_spec(self.document["spec"])

    def _fill_spec(self, spec: dict[str, Any]) -> None:
        self._need(("spec",), spec, nodes=[])
        self._fill_nodes(spec["nodes"])
        for event, handler in spec.get("handlers", {}).items():
            self._fill_executor(("spec", "handlers", event), handler)
        for number, trigger in self._mappings(("spec", "triggers"), spec.get("triggers", [])):
            self._need(("spec", "triggers", number), trigger, type=_NO_TYPE)
        if isinstance(spec.get("concurrency"), dict):
            self._need(("spec", "concurrency"), spec["concurrency"], key="")

    def _fill_nodes(self, nodes: list[Any]) -> None:
        taken = {node["id"] for node in nodes if isinstance(node, dict) and "id" in node}
        for number, node in self._mappings(("spec", "nodes"), nodes):
            name = f"{_UNLIKE}{number}"
            while name in taken:
                name += "\0"
            self._need(("spec", "nodes", number), node, id=name)
            self._fill_executor(("spec", "nodes", number), node)

    def _fill_executor(self, path: Path, node: dict[str, Any]) -> None:
        self._need(path, node, executor={})
        self._need((*path, "executor"), node["executor"], type=_NO_TYPE)

    def _mappings(self, path: Path, listed: list[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give the elements of a list; those that are no mappings are replaced by empty ones."""
        for number, element in enumerate(listed):
            if not isinstance(element, dict):
                listed[number] = {}
                self._note((*path, number))
            yield number, listed[number]

    def _need(self, path: Path, container: dict[str, Any], **values: Any) -> None:
        for key, value in values.items():
            if key not in container:
                container[key] = value
                self._note((*path, key))

    def _note(self, path: Path) -> None:
        self._places.add(path)
        if path[:2] == _NODES and len(path) > 2:
            self._wrong.setdefault(path[:3], set()).add(path[3] if len(path) > 3 else None)

    def unsure(self) -> frozenset[str]:
        """Give the ids of nodes of which it is not known what they depend on."""
        nodes = self.document["spec"]["nodes"]
        wrong = [node for node in self._wrong if self._is_wrong(node, "dependencies")]
        return frozenset(nodes[node[2]]["id"] for node in wrong)

    def _is_wrong(self, node: Path, key: str) -> bool:
        return not self._wrong.get(node, set()).isdisjoint((None, key))

    def is_new(self, finding: Finding) -> bool:
        """Whether something is wrong for itself, not because of what was taken out or put in."""
        path = finding.path
        if any(path[:length] in self._places for length in range(1, len(path) + 1)):
            return False
        if _NODES in self._places and "there is no node" in finding.message:
            return False
        return not self._follows(path[:3], path[3:], finding.message)

    def _follows(self, node: Path, rest: Path, message: str) -> bool:
        """Whether something is said because another key of the same node was taken out."""
        if rest == ("trigger_rule",):
            return self._is_wrong(node, "dependencies")
        if rest in (("max_parallel",), ("tolerate",)) or "'item" in message:
            return self._is_wrong(node, "for_each")
        if "declares no secret" in message:
            return self._is_wrong_above("secrets") or self._is_wrong(node, "secrets")
        for name in ("env", "inputs"):
            if message.startswith(f"{name} has no "):
                return self._is_wrong_above(name)
        return rest == ("retry",) and self._is_wrong(node, "retry")

    def _is_wrong_above(self, key: str) -> bool:
        return any(path[:2] == ("spec", key) for path in self._places)


def _remove(value: Any, path: Path) -> None:
    """Take a key out, if it is there. What stands behind an element of a list keeps its place."""
    try:
        for part in path[:-1]:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return
    if isinstance(value, dict) and path:
        value.pop(path[-1], None)
    elif isinstance(value, list):
        value[int(path[-1])] = ""

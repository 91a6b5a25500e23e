"""Bring what a document names beside itself into the workflow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import attrs

from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.places import Finding
from dagrun.domain.document.places import Path as FindingPath
from dagrun.domain.templates import has_mark
from dagrun.domain.workflow import JSON, ExecutorSpec, Handler, Node, Workflow

T = TypeVar("T", Node, Handler)

_NOWHERE: Final = (
    "it is relative, and a document that is registered lies beside nothing; write a whole path"
)


def inline_files(
    workflow: Workflow, base: Path, read: Callable[[str], str], catalogue: Catalogue
) -> tuple[Workflow, list[Finding]]:
    """Put the contents of files in place of their names, where executors ask for it.

    Args:
        workflow: a workflow that was loaded from a document.
        base: the document's folder, absolute.
        read: gives the text of a file; raises OSError or ValueError.
        catalogue: says which options of executors name such files.

    Returns:
        The workflow, the same one if it names nothing beside itself, and the files that cannot be
        read.
    """
    reader = _Reader(base, read, catalogue)
    nodes = tuple(
        reader.whole(node, ("spec", "nodes", number)) for number, node in enumerate(workflow.nodes)
    )
    handlers = {
        event: reader.whole(handler, ("spec", "handlers", event))
        for event, handler in workflow.handlers.items()
    }
    old = (*workflow.nodes, *workflow.handlers.values())
    if all(new is one for new, one in zip((*nodes, *handlers.values()), old, strict=True)):
        return workflow, reader.findings
    return attrs.evolve(workflow, nodes=nodes, handlers=handlers), reader.findings


def unreadable(name: str, error: OSError | ValueError) -> str:
    """Say of a file why it cannot be read."""
    return f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"


def relative_programs(workflow: Workflow) -> list[Finding]:
    """Find programs and folders of which nobody can say where they are, if the document lies nowhere."""
    parts: list[tuple[FindingPath, ExecutorSpec]] = [
        (("spec", "nodes", number), node.executor) for number, node in enumerate(workflow.nodes)
    ]
    parts += [
        (("spec", "handlers", event), handler.executor)
        for event, handler in workflow.handlers.items()
    ]
    found = []
    for place, spec in parts:
        command, folder = spec.options.get("command"), spec.options.get("cwd")
        first = command[0] if isinstance(command, list | tuple) and command else None
        if isinstance(first, str) and "/" in first and _is_relative(first):
            found.append(Finding(path=(*place, "executor", "command", 0), message=_NOWHERE))
        if isinstance(folder, str) and _is_relative(folder):
            found.append(Finding(path=(*place, "executor", "cwd"), message=_NOWHERE))
    return found


def _is_relative(name: str) -> bool:
    return not name.startswith("/") and not has_mark(name)


class _Reader:
    """Reads the files of one workflow."""

    def __init__(self, base: Path, read: Callable[[str], str], catalogue: Catalogue) -> None:
        self._base = base
        self._read = read
        self._executors = catalogue.executors
        self.findings: list[Finding] = []

    def whole(self, node: T, place: FindingPath) -> T:
        """Give a node or handler with all that its executor names."""
        spec = node.executor
        kind = self._executors.get(spec.type)
        if kind is None or kind.files.keys().isdisjoint(spec.options):
            return node
        options = self._options(spec.options, kind.files, (*place, "executor"))
        return attrs.evolve(node, executor=ExecutorSpec(type=spec.type, options=options))

    def _options(
        self, options: Mapping[str, JSON], files: Mapping[str, str], path: FindingPath
    ) -> Mapping[str, JSON]:
        made = dict(options)
        for option, becomes in files.items():
            name = options.get(option)
            if isinstance(name, str) and becomes not in options:
                text = self._text(str(self._base / name), (*path, option))
                if text is not None:
                    del made[option]
                    made[becomes] = text
        return made

    def _text(self, name: str, path: FindingPath) -> str | None:
        try:
            return self._read(name)
        except (OSError, ValueError) as error:
            self.findings.append(Finding(path=path, message=unreadable(name, error)))
            return None

"""Bring what a document names beside itself into the workflow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from dagrun.domain.document.places import Finding
from dagrun.domain.document.places import Path as FindingPath
from dagrun.domain.templates import has_mark
from dagrun.domain.workflow import ExecutorSpec, Handler, Node, Workflow

T = TypeVar("T", Node, Handler)


def inline_files(
    workflow: Workflow, base: Path, read: Callable[[str], str]
) -> tuple[Workflow, list[Finding]]:
    """Put the contents of ``file`` options in place, and make relative programs absolute.

    Args:
        workflow: a workflow that was loaded from a document.
        base: the document's folder, absolute.
        read: gives the text of a file; raises OSError or ValueError.

    Returns:
        The workflow, the same one if it names nothing beside itself, and the files that cannot be
        read.
    """
    findings: list[Finding] = []
    nodes = tuple(
        _whole(node, base, read, ("spec", "nodes", number), findings)
        for number, node in enumerate(workflow.nodes)
    )
    handlers = {
        event: _whole(handler, base, read, ("spec", "handlers", event), findings)
        for event, handler in workflow.handlers.items()
    }
    old = (*workflow.nodes, *workflow.handlers.values())
    if all(new is one for new, one in zip((*nodes, *handlers.values()), old, strict=True)):
        return workflow, findings
    return attrs.evolve(workflow, nodes=nodes, handlers=handlers), findings


def _whole(
    node: T, base: Path, read: Callable[[str], str], place: FindingPath, findings: list[Finding]
) -> T:
    """Give a node or handler with all that its executor names."""
    path: FindingPath = (*place, "executor")
    options = node.executor.options
    changed = {**_absolute(options, base)}
    if isinstance(options.get("file"), str):
        name = str(base / options["file"])
        try:
            changed["code"] = read(name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"{name} cannot be read: {reason}"
            findings.append(Finding(path=(*path, "file"), message=message))
    if not changed:
        return node
    kept = {key: value for key, value in options.items() if key != "file" or "code" not in changed}
    return attrs.evolve(
        node, executor=ExecutorSpec(type=node.executor.type, options={**kept, **changed})
    )


def _absolute(options: Mapping[str, Any], base: Path) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    command, cwd = options.get("command"), options.get("cwd")
    if isinstance(command, list) and command and _is_relative_program(command[0]):
        changed["command"] = [str(base / command[0]), *command[1:]]
    if isinstance(cwd, str) and not has_mark(cwd):
        changed["cwd"] = str(base / cwd)
    return changed


def _is_relative_program(program: Any) -> bool:
    """A name without a slash is looked up on the PATH, as a shell does."""
    return (
        isinstance(program, str)
        and "/" in program
        and not program.startswith("/")
        and not has_mark(program)
    )

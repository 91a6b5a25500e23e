"""``dagrun workflows``: the registered workflows, and what is done with them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

import attrs
import trio

from dagrun.cli import output
from dagrun.cli.asking import answerer, ask
from dagrun.cli.options import Asked
from dagrun.domain.jsonvalue import decode
from dagrun.domain.result import rfc3339
from dagrun.domain.serialize import to_json
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError, ConflictError, DefinitionError, Problem
from dagrun.ports.management import (
    Management,
    Page,
    Registered,
    WorkflowManagement,
    WorkflowView,
)
from dagrun.roles.documents import read_to_send, register_read


def register(asked: Asked, files: Sequence[Path], *, metadata: Sequence[str]) -> int:
    """Register documents, each whole or not at all. Give the exit code.

    Raises:
        DefinitionError: some are wrong; all that is wrong with them. The others are registered.
        ConflictError: versions are registered with another content. The others are registered.
    """
    said = dict(_pair(pair) for pair in metadata)
    done: list[Registered] = []
    problems: list[Problem] = []
    conflicts: list[Problem] = []

    async def act(management: Management) -> None:
        for file in files:
            try:
                done.append(await _register(management.workflows, file, said))
            except DefinitionError as error:
                problems.extend(error.problems)
            except ConflictError as error:
                conflicts.append(Problem(message=str(error), file=str(file)))

    try:
        ask(asked, act, makes=True)
    finally:
        if not asked.json:
            _say_registered(done)
    if problems:
        raise DefinitionError([*problems, *conflicts])
    if conflicts:
        raise ConflictError("\n".join(one.message for one in conflicts))
    if asked.json:
        output.say_json({"items": [attrs.asdict(one) for one in done], "next": None})
    return output.DONE


def list_workflows(asked: Asked, *, limit: int, cursor: str | None) -> int:
    """List the current version of each workflow. Give the exit code."""

    async def act(management: Management) -> Page[WorkflowView]:
        return await management.workflows.list(limit=limit, cursor=cursor)

    whom = answerer(asked)
    page = whom.ask(act)
    if asked.json:
        output.say_json({"items": [_view_json(one) for one in page.items], "next": page.next})
        return output.DONE
    for one in page.items:
        output.say(_line(one))
    if not page.items:
        output.note(f"dagrun: no workflow is registered {whom.place}")
    output.note_next(page.next)
    return output.DONE


def list_versions(asked: Asked, workflow_id: str) -> int:
    """List the versions of a workflow, the highest first. Give the exit code.

    Raises:
        NotFound: there is none.
    """

    async def act(management: Management) -> Sequence[WorkflowView]:
        return await management.workflows.versions(workflow_id)

    versions = ask(asked, act)
    if asked.json:
        output.say_json({"items": [_view_json(one) for one in versions], "next": None})
        return output.DONE
    for one in versions:
        output.say(_line(one) + ("  current" if one.current else ""))
    return output.DONE


def show(asked: Asked, workflow_id: str, version: str | None) -> int:
    """Show a version of a workflow with its content. Give the exit code.

    Raises:
        NotFound: there is no such workflow or version.
    """

    async def act(management: Management) -> tuple[WorkflowView, Workflow]:
        return await management.workflows.get(workflow_id, version)

    view, workflow = ask(asked, act)
    content = decode(to_json(workflow))
    if asked.json:
        output.say_json({**_view_json(view), "definition": content})
        return output.DONE
    output.say(_line(view) + ("  current" if view.current else ""))
    for text in (view.name, view.description):
        if text:
            output.say(text)
    output.say_value(content)
    return output.DONE


def diff(asked: Asked, workflow_id: str, old: str, new: str | None) -> int:
    """Show what changed from one version to another. Give the exit code.

    Raises:
        NotFound: there is no such workflow or version.
    """

    async def act(management: Management) -> tuple[Workflow, Workflow]:
        workflows = management.workflows
        return (await workflows.get(workflow_id, old))[1], (await workflows.get(workflow_id, new))[
            1
        ]

    before, after = ask(asked, act)
    lines = list(_changes(before, after))
    if asked.json:
        output.say_json({"old": before.version, "new": after.version, "diff": lines})
        return output.DONE
    for line in lines:
        output.say(line)
    if not lines:
        output.note(f"dagrun: {before.version} and {after.version} say the same")
    return output.DONE


def delete(asked: Asked, workflow_id: str, version: str | None, *, force: bool) -> int:
    """Delete a version, or all. Give the exit code.

    Raises:
        NotFound: there is no such workflow or version.
        StillNeeded: a registered workflow calls it.
    """

    async def act(management: Management) -> Sequence[str]:
        return await management.workflows.delete(workflow_id, version, force=force)

    gone = list(ask(asked, act))
    if asked.json:
        output.say_json({"workflow_id": workflow_id, "deleted": gone})
    else:
        output.say(f"{workflow_id}: {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} deleted")
    return output.DONE


def _say_registered(done: Sequence[Registered]) -> None:
    for one in done:
        what = "is registered" if one.created else "is registered already, with the same content"
        output.say(f"{one.workflow_id} {one.version} {what}")


async def _register(
    workflows: WorkflowManagement, file: Path, metadata: Mapping[str, str]
) -> Registered:
    read = await trio.to_thread.run_sync(read_to_send, file)
    return await register_read(workflows, file, read, metadata=metadata or None)


def _pair(text: str) -> tuple[str, str]:
    key, given, value = text.partition("=")
    if not given or not key:
        raise ConfigError(f"--metadata: key=value is needed, not {text!r}")
    return key, value


def _line(view: WorkflowView) -> str:
    when = view.registered_at.strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{view.workflow_id}  {view.version}  {when}" + (f"  {view.name}" if view.name else "")


def _view_json(view: WorkflowView) -> dict[str, Any]:
    return {**attrs.asdict(view, recurse=False), "registered_at": rfc3339(view.registered_at)}


def _changes(before: Workflow, after: Workflow) -> Iterator[str]:
    old, new = (
        json.dumps(decode(to_json(workflow)), indent=2, ensure_ascii=False).splitlines()
        for workflow in (before, after)
    )
    return unified_diff(old, new, before.version, after.version, lineterm="")

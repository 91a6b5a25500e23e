"""Load a document: compose, structure, check, and tell all that is wrong at once."""

from typing import Any

import attrs

from dagrun.domain.checks import check
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.composer import MarkedDict, compose, plain
from dagrun.domain.document.legacy import CURRENT, LEGACY, modernise
from dagrun.domain.document.places import Finding, Path, nearest
from dagrun.domain.document.shape import Document, document_converter, to_workflow
from dagrun.domain.document.structure import findings_of
from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, Problem


def load_document(text: str | bytes, *, file: str | None, catalogue: Catalogue) -> Workflow:
    """Turn a document into a workflow.

    Args:
        text: YAML or JSON.
        file: its name, for error messages.
        catalogue: what is installed.

    Raises:
        DefinitionError: with everything that is wrong, in the order of the text.
    """
    try:
        root = compose(text)
    except DefinitionError as error:
        raise DefinitionError([attrs.evolve(p, file=file) for p in error.problems]) from None
    workflow, findings = _read(root, catalogue)
    if findings or workflow is None:
        problems = {finding.locate(root, file): None for finding in findings}
        raise DefinitionError(sorted(problems, key=_order)) from None
    return workflow


def _read(root: MarkedDict, catalogue: Catalogue) -> tuple[Workflow | None, list[Finding]]:
    version = root.get("apiVersion")
    if version == CURRENT:
        return _structure(root, catalogue)
    if version != LEGACY:
        return None, [_unknown_version(root, version)]
    made = modernise(root)
    workflow, findings = _structure(made.root, catalogue, kubernetes=made.kubernetes)
    return workflow, [*made.findings, *map(made.back, findings)]


def _structure(
    root: dict[str, Any], catalogue: Catalogue, **more: Any
) -> tuple[Workflow | None, list[Finding]]:
    try:
        document = document_converter().structure(root, Document)
    except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
        findings = findings_of(error, ())
        return None, [*findings, *_check_rest(root, findings, catalogue)]
    workflow = to_workflow(document, **more)
    return _with_trigger_ids(workflow), check(workflow, catalogue)


def _check_rest(
    root: dict[str, Any], findings: list[Finding], catalogue: Catalogue
) -> list[Finding]:
    """Check a document without the keys that are wrong, so that all errors come at once."""
    rest = plain(root)
    for finding in findings:
        _remove(rest, finding.path)
    try:
        document = document_converter().structure(rest, Document)
    except Exception:  # noqa: BLE001 — a key that must be there is wrong: there is no rest
        return []
    known = {finding.path for finding in findings}
    more = check(to_workflow(document), catalogue)
    return [finding for finding in more if finding.path not in known]


def _remove(value: Any, path: Path) -> None:
    """Take a key out, if it is there."""
    try:
        for part in path[:-1]:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return
    if isinstance(value, dict) and path:
        value.pop(path[-1], None)


def _with_trigger_ids(workflow: Workflow) -> Workflow:
    """Name triggers without an id after their type: ``cron``, ``cron-2``."""
    if all(trigger.id for trigger in workflow.triggers):
        return workflow
    taken = {trigger.id for trigger in workflow.triggers}
    named = []
    for trigger in workflow.triggers:
        name, number = trigger.id or trigger.type, 1
        while not trigger.id and name in taken:
            number += 1
            name = f"{trigger.type}-{number}"
        taken.add(name)
        named.append(attrs.evolve(trigger, id=name))
    return attrs.evolve(workflow, triggers=tuple(named))


def _unknown_version(root: MarkedDict, version: Any) -> Finding:
    if version is None:
        message = f"the key 'apiVersion' is missing; write apiVersion: {CURRENT}"
        wrong = next((key for key in root if nearest(key, ["apiVersion"])), None)
        return Finding(path=() if wrong is None else (wrong,), message=message, on_key=True)
    message = f"{version!r} is no version of the document format"
    return Finding(
        path=("apiVersion",), message=message, suggestion=nearest(version, [CURRENT, LEGACY])
    )


def _order(problem: Problem) -> tuple[int, int, str]:
    return problem.line or 0, problem.column or 0, problem.path

"""Load a document: compose, structure, check, and tell all that is wrong at once."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import attrs

from dagrun.domain.checks import check
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.composer import MarkedDict, compose, plain
from dagrun.domain.document.legacy import CURRENT, LEGACY, modernise
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Path, nearest
from dagrun.domain.document.shape import Document, document_converter, to_workflow
from dagrun.domain.document.structure import findings_of, shown
from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, Problem

MAX_NODES: Final = 50_000
"""Nodes that a workflow may have."""

Complete = Callable[[Workflow], tuple[Workflow, list[Finding]]]
"""Adds to a workflow what its document names elsewhere, and tells what could not be had."""


def load_document(
    text: str | bytes, *, file: str | None, catalogue: Catalogue, complete: Complete | None = None
) -> Workflow:
    """Turn a document into a workflow.

    Args:
        text: YAML or JSON.
        file: its name, for error messages.
        catalogue: what is installed.
        complete: is called when nothing else is wrong.

    Raises:
        DefinitionError: with everything that is wrong, in the order of the text.
    """
    try:
        root = compose(text)
    except DefinitionError as error:
        raise DefinitionError([attrs.evolve(p, file=file) for p in error.problems]) from None
    workflow, findings = _read(root, catalogue, complete)
    if findings or workflow is None:
        problems = {finding.locate(root, file): None for finding in findings}
        raise DefinitionError(sorted(problems, key=_order)[:MAX_FINDINGS]) from None
    return workflow


def _read(
    root: MarkedDict, catalogue: Catalogue, complete: Complete | None
) -> tuple[Workflow | None, list[Finding]]:
    version = root.get("apiVersion")
    if version == CURRENT:
        return _structure(root, catalogue, complete)
    if version != LEGACY:
        return None, [_unknown_version(root, version)]
    made = modernise(root)
    workflow, findings = _structure(made.root, catalogue, complete, kubernetes=made.kubernetes)
    return workflow, [*made.findings, *map(made.back, findings)]


def _structure(
    root: dict[str, Any], catalogue: Catalogue, complete: Complete | None, **more: Any
) -> tuple[Workflow | None, list[Finding]]:
    spec = root.get("spec")
    nodes = spec.get("nodes") if isinstance(spec, dict) else None
    if isinstance(nodes, list) and len(nodes) > MAX_NODES:
        message = f"there are {len(nodes)} nodes; at most {MAX_NODES} are allowed"
        return None, [Finding(path=("spec", "nodes"), message=message)]
    try:
        document = document_converter().structure(root, Document)
    except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
        findings = findings_of(error, ())
        return None, [*findings, *_check_rest(root, findings, catalogue)]
    workflow = to_workflow(document, **more)
    findings = check(workflow, catalogue)
    if complete is not None and not findings:
        whole, findings = complete(workflow)
        if whole is not workflow and not findings:
            findings = check(whole, catalogue)
        workflow = whole
    return _with_trigger_ids(workflow), findings


def _check_rest(
    root: dict[str, Any], findings: list[Finding], catalogue: Catalogue
) -> list[Finding]:
    """Check a document without the keys that are wrong, so that all errors come at once."""
    if len(findings) >= MAX_FINDINGS:
        return []
    rest = plain(root)
    for finding in findings:
        _remove(rest, finding.path)
    known = {finding.path for finding in findings}
    if any(path[:2] == ("spec", "triggers") for path in known):
        _remove(rest, ("spec", "triggers"))
    known |= _fill_head(rest)
    try:
        document = document_converter().structure(rest, Document)
    except Exception as error:  # noqa: BLE001 — a key that must be there is wrong
        known |= _stand_in(rest, {finding.path[:3] for finding in findings_of(error, ())})
        try:
            document = document_converter().structure(rest, Document)
        except Exception:  # noqa: BLE001 — it is more than nodes: there is no rest
            return []
    more = check(to_workflow(document), catalogue)
    return [
        finding
        for finding in more
        if finding.path not in known
        and finding.path[:3] not in known
        and not _follows(finding, known)
    ]


def _fill_head(rest: Any) -> set[Path]:
    """Put something right in the places of what names the document. Give these places."""
    if not isinstance(rest, dict):
        return set()
    rest["apiVersion"], rest["kind"] = CURRENT, "Workflow"
    head = rest["metadata"] if isinstance(rest.get("metadata"), dict) else {}
    filled = {("metadata", key): value for key, value in _HEAD.items() if key not in head}
    rest["metadata"] = {**_HEAD, **head}
    return set(filled)


_HEAD: Final = {"id": "broken", "version": "0.0.0"}


def _follows(finding: Finding, wrong: set[Path]) -> bool:
    """Whether something is only wrong because a key of the same node was left out."""
    node, message = finding.path[:3], finding.message
    if (*node, "dependencies") in {path[:4] for path in wrong} and "is no ancestor" in message:
        return True
    if "declares no secret" in message and any("secrets" in path[1:4] for path in wrong):
        return True
    if (*node, "for_each") in wrong and ("no for_each" in message or "'item" in message):
        return True
    return finding.path[3:] == ("retry",) and any(p[:4] == finding.path for p in wrong)


def _stand_in(rest: Any, places: set[Path]) -> set[Path]:
    """Put something whole in the places of broken nodes, so that others may depend on them."""
    put = set()
    for place in places:
        if place[:2] == ("spec", "nodes") and len(place) > 2:
            nodes, number = rest["spec"]["nodes"], place[2]
            node = nodes[number] if isinstance(nodes[number], dict) else {}
            kept = {key: node[key] for key in ("id", "dependencies") if key in node}
            nodes[number] = {"id": f"broken-{number}", **kept, "executor": {"type": "broken"}}
            put.add(place)
    return put


def _remove(value: Any, path: Path) -> None:
    """Take a key out, if it is there."""
    try:
        for part in path[:-1]:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return
    if isinstance(value, dict) and path:
        value.pop(path[-1], None)
    elif isinstance(value, list) and path[:-1] != ("spec", "nodes"):
        value[int(path[-1])] = ""  # nothing is called so; the others keep their places


def _with_trigger_ids(workflow: Workflow) -> Workflow:
    """Name triggers without an id after their type: ``cron``, ``cron-2``."""
    if all(trigger.id for trigger in workflow.triggers):
        return workflow
    taken = {trigger.id for trigger in workflow.triggers}
    numbers = Counter[str]()
    named = []
    for trigger in workflow.triggers:
        name = trigger.id
        while not name or (not trigger.id and name in taken):
            numbers[trigger.type] += 1
            number = numbers[trigger.type]
            name = trigger.type if number == 1 else f"{trigger.type}-{number}"
        taken.add(name)
        named.append(attrs.evolve(trigger, id=name))
    return attrs.evolve(workflow, triggers=tuple(named))


def _unknown_version(root: MarkedDict, version: Any) -> Finding:
    if version is None:
        message = f"the key 'apiVersion' is missing; write apiVersion: {CURRENT}"
        wrong = next((key for key in root if nearest(key, ["apiVersion"])), None)
        return Finding(path=() if wrong is None else (wrong,), message=message, on_key=True)
    message = f"{shown(version)} is no version of the document format"
    return Finding(
        path=("apiVersion",), message=message, suggestion=nearest(version, [CURRENT, LEGACY])
    )


def _order(problem: Problem) -> tuple[int, int, str]:
    return problem.line or 0, problem.column or 0, problem.path

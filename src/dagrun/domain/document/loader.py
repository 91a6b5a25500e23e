"""Load a document: compose, structure, check, and tell all that is wrong at once."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from dagrun.domain.checks import check
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.composer import MarkedDict, compose
from dagrun.domain.document.places import MAX_FINDINGS, Finding, nearest
from dagrun.domain.document.repair import Repair
from dagrun.domain.document.shape import CURRENT, Document, document_converter, to_workflow
from dagrun.domain.document.structure import findings_of, shown
from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, Problem

LEGACY: Final = "workflows/v1"
"""The ``apiVersion`` of the older format."""

MAX_NODES: Final = 50_000
"""Nodes that a workflow may have."""

_REPAIRS: Final = 3  # tries to make a wrong document right; the first one should do

Complete = Callable[[Workflow], tuple[Workflow, list[Finding]]]
"""Adds to a workflow what its document names elsewhere, and tells what could not be had."""


def load_document(
    text: str | bytes | MarkedDict,
    *,
    file: str | None,
    catalogue: Catalogue,
    complete: Complete | None = None,
) -> Workflow:
    """Turn a document into a workflow.

    Args:
        text: YAML or JSON, or what was composed of it.
        file: its name, for error messages.
        catalogue: what is installed.
        complete: brings in what stands elsewhere, as far as it is there.

    Raises:
        DefinitionError: with everything that is wrong, in the order of the text.
    """
    try:
        root = text if isinstance(text, MarkedDict) else compose(text)
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
        return read_current(root, catalogue, complete)
    if version != LEGACY:
        return None, [_unknown_version(root, version)]
    from dagrun.domain.document.legacy import modernise  # noqa: PLC0415 — for older documents only

    made = modernise(root)
    workflow, findings = read_current(made.root, catalogue, complete, kubernetes=made.kubernetes)
    return workflow, [*made.findings, *map(made.back, findings)]


def read_current(
    root: dict[str, Any], catalogue: Catalogue, complete: Complete | None = None, **more: Any
) -> tuple[Workflow | None, list[Finding]]:
    """Turn a composed document of the version ``CURRENT`` into a workflow with ``more`` fields.

    Gives also all that is wrong; the workflow is None if there is none that could be checked whole.
    """
    spec = root.get("spec")
    nodes = spec.get("nodes") if isinstance(spec, dict) else None
    if isinstance(nodes, list) and len(nodes) > MAX_NODES:
        message = f"there are {len(nodes)} nodes; at most {MAX_NODES} are allowed"
        return None, [Finding(path=("spec", "nodes"), message=message)]
    try:
        document = document_converter().structure(root, Document)
    except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
        findings = findings_of(error, ())
        return None, [*findings, *_check_rest(root, findings, catalogue, complete)]
    workflow, missing = _completed(to_workflow(document, **more), complete)
    return workflow, [*missing, *check(workflow, catalogue)]


def _completed(workflow: Workflow, complete: Complete | None) -> tuple[Workflow, Sequence[Finding]]:
    return (workflow, ()) if complete is None else complete(workflow)


def _check_rest(
    root: dict[str, Any],
    findings: Sequence[Finding],
    catalogue: Catalogue,
    complete: Complete | None,
) -> list[Finding]:
    """Check a document without what is wrong already, so that all errors come at once."""
    if len(findings) >= MAX_FINDINGS:
        return []
    repair = Repair(root)
    for _ in range(_REPAIRS):
        repair.take_out(findings)
        try:
            document = document_converter().structure(repair.document, Document)
        except Exception as error:  # noqa: BLE001 — as above
            findings = findings_of(error, ())
            continue
        workflow, missing = _completed(to_workflow(document), complete)
        more = [*missing, *check(workflow, catalogue, unsure=repair.unsure())]
        return [finding for finding in more if repair.is_new(finding)]
    return []


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

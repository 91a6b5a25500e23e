"""Check a workflow that was built in Python: as the document that says the same."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import attrs

from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.composer import MAX_LEVELS
from dagrun.domain.document.loader import read_current
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Path
from dagrun.domain.document.shape import CURRENT, Metadata
from dagrun.domain.document.structure import shown
from dagrun.domain.serialize import said, to_json
from dagrun.domain.workflow import ExecutorSpec, Trigger, Workflow
from dagrun.errors import Problem

_HEAD: Final = frozenset(field.name for field in attrs.fields(Metadata))


def check_workflow(workflow: Workflow, catalogue: Catalogue) -> list[Problem]:
    """Give everything that is wrong with a workflow built in Python; empty when it is right.

    Key paths and messages are those of a ``dagrun/v1`` document.
    """
    writer = _Writer()
    document, kubernetes = writer.document(workflow)
    _, found = read_current(document, catalogue, kubernetes=kubernetes)
    told = {finding.path for finding in writer.findings}
    findings = [*writer.findings, *(one for one in found if one.path not in told)]
    if not findings:
        try:
            to_json(workflow)
        except (ValueError, TypeError, RecursionError) as error:
            findings.append(Finding(path=(), message=f"it cannot be kept: {error}"))
    return [finding.locate(None, None) for finding in findings[:MAX_FINDINGS]]


class _Writer:
    """Writes a workflow as a document, with null in place of what JSON cannot hold."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def document(self, workflow: Workflow) -> tuple[dict[str, Any], Any]:
        """Give the document, and what it cannot say: what the workflow asks of Kubernetes."""
        fields = dict(said(workflow))
        kubernetes = self._plain(fields.pop("kubernetes", {}), ("kubernetes",))
        head = {name: fields.pop(name) for name in _HEAD & fields.keys()}
        fields.setdefault("nodes", [])
        document = {"apiVersion": CURRENT, "kind": "Workflow", "metadata": head, "spec": fields}
        return self._object(document, ()), kubernetes

    def _plain(self, value: Any, path: Path) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, str | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else self._refuse(value, path)
        if len(path) >= MAX_LEVELS:
            return self._complain(path, f"more than {MAX_LEVELS} levels are nested here")
        if isinstance(value, dict):
            return self._object(value, path)
        if isinstance(value, list | tuple):
            return [self._plain(part, (*path, number)) for number, part in enumerate(value)]
        if isinstance(value, ExecutorSpec | Trigger):
            return self._typed(value, path)
        if attrs.has(type(value)):
            return self._object(dict(said(value)), path)
        return self._refuse(value, path)

    def _object(self, value: Mapping[Any, Any], path: Path) -> dict[str, Any]:
        plain = {}
        for key, part in value.items():
            if isinstance(key, str):
                plain[str(key)] = self._plain(part, (*path, key))
            else:
                self._complain(path, f"a key must be text, not {shown(key)}")
        return plain

    def _typed(self, value: ExecutorSpec | Trigger, path: Path) -> Any:
        """Write options beside what says whose they are."""
        fields = dict(said(value))
        options: Any = fields.pop("options", {})
        if not isinstance(options, dict):
            return self._complain(path, f"the options are a mapping, not {shown(options)}")
        for key in fields.keys() & options.keys():
            self._complain((*path, key), f"{key} stands in the options, too")
        return self._object({**options, **fields}, path)

    def _refuse(self, value: Any, path: Path) -> None:
        if callable(value) and path[-1:] == ("executor",):
            name = getattr(value, "__name__", "function")
            self._complain(path, f"a function is no executor; write dagrun.python({name})")
        else:
            self._complain(path, f"{shown(value)} is nothing that JSON can hold")

    def _complain(self, path: Path, message: str) -> None:
        self.findings.append(Finding(path=path, message=message))

"""Workflow documents: YAML or JSON text that becomes a workflow, or a list of what is wrong."""

from dagrun.domain.document.catalogue import (
    Catalogue,
    ExecutorKind,
    TriggerInfo,
    structure_options,
)
from dagrun.domain.document.files import inline_files
from dagrun.domain.document.loader import load_document

__all__ = [
    "Catalogue",
    "ExecutorKind",
    "TriggerInfo",
    "inline_files",
    "load_document",
    "structure_options",
]

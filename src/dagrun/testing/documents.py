"""Documents whose executors, triggers and balancers nobody carries out."""

from typing import Final

import attrs
import pytest

from dagrun.builtin.python import PythonOptions
from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.loader import load_document
from dagrun.domain.workflow import JSON, Workflow
from dagrun.errors import DefinitionError, Problem

HEAD: Final = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


@attrs.frozen(kw_only=True)
class Options:
    """What the executor ``x`` may be told."""

    code: str | None = None
    command: list[str] | str | None = None
    size: int = 1
    ratio: float = 0.5
    env: dict[str, str] = attrs.field(factory=dict)


SCHEMA: Final[dict[str, JSON]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"path": {"type": "string"}, "port": {"type": "integer"}},
}
CATALOGUE: Final = Catalogue(
    executors={
        "x": ExecutorKind(
            options=Options,
            literal_options=frozenset({"code"}),
            secret_options=frozenset({"env", "ratio"}),
        ),
        "any": ExecutorKind(),
        "python": ExecutorKind(options=PythonOptions, literal_options=frozenset({"code"})),
        "schema": ExecutorKind(options=SCHEMA),
    },
    triggers={
        "http": TriggerInfo(options=SCHEMA),
        "clock": TriggerInfo(
            check=lambda options: {"at": "never"} if options.get("at") == "no" else {}
        ),
    },
    balancers={"consistent-hash": True, "round-robin": False},
)


def load(text: str | bytes) -> Workflow:
    """Read a document."""
    return load_document(text, file="f.yaml", catalogue=CATALOGUE)


def problems(text: str | bytes) -> tuple[Problem, ...]:
    """Give what is wrong in a document; there has to be something."""
    with pytest.raises(DefinitionError) as caught:
        load(text)
    return caught.value.problems

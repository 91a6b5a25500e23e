"""What a program may name a workflow or a run by: its id, or an object that has it."""

from collections.abc import Mapping
from typing import Any, Protocol

from dagrun.domain.ids import RunId, is_id
from dagrun.domain.workflow import Workflow
from dagrun.errors import NoSuchRun
from dagrun.ports.management import Registered


class HasRunId(Protocol):
    """A run in any form: that was started, listed, or told of."""

    @property
    def run_id(self) -> str:
        """Id of the run."""
        ...


def run_of(run: str | HasRunId) -> RunId:
    """Give the id of a run.

    Raises:
        NoSuchRun: no run can have this id.
        TypeError: it is no run.
    """
    text = run if isinstance(run, str) else getattr(run, "run_id", None)
    if not isinstance(text, str):
        raise TypeError(f"a run or its id is needed, such as run.run_id, not {_kind(run)}")
    if not is_id(text):
        raise NoSuchRun(text)
    return RunId(text)


def workflow_of(
    workflow: str | Workflow | Registered, version: str | None
) -> tuple[str, str | None]:
    """Give the id of a workflow, and the version: that of an object unless another one is named.

    Raises:
        TypeError: it is no workflow.
    """
    if isinstance(workflow, str):
        return workflow, version
    if isinstance(workflow, Workflow):
        return workflow.id, version or workflow.version
    if isinstance(workflow, Registered):
        return workflow.workflow_id, version or workflow.version
    raise TypeError(f"a workflow or its id is needed, not {_kind(workflow)}")


def inputs_of(inputs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Give the inputs of a run; None is none.

    Raises:
        TypeError: they are no mapping.
    """
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        raise TypeError(f"the inputs are a mapping, name → value, not {_kind(inputs)}")
    return inputs


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__

# ruff: noqa: A003 — the option is called `id` in documents
"""The executor ``workflow``: a child run, wherever there is room for one."""

from collections.abc import Mapping
from typing import ClassVar

import attrs

from dagrun.domain.ids import RunId, is_id
from dagrun.domain.versions import is_range
from dagrun.domain.workflow import JSON, Durability
from dagrun.ports.children import ChildRequest
from dagrun.ports.executor import Context, Suspended


@attrs.frozen(kw_only=True)
class WorkflowOptions:
    """What a document says under ``executor`` of a ``workflow`` node."""

    id: str = attrs.field()
    """The workflow to run."""

    version: str | None = attrs.field(default=None)
    """A version, or a range of them; without it ``^`` of the current one."""

    wait: bool = True
    """Whether the node waits for the run's end, and has its outputs."""

    @id.validator
    def _check_id(self, _: object, value: str) -> None:
        if not is_id(value):
            raise ValueError(f"'id' names no workflow: {value[:60]!r} is no id")

    @version.validator
    def _check_version(self, _: object, value: str | None) -> None:
        if value is not None and not is_range(value):
            message = "is no version, and no range of versions such as '^1.2' or '>=1,<2'"
            raise ValueError(f"'version': {value[:60]!r} {message}")


class WorkflowExecutor:
    """Starts a child run, and hands the node over to it."""

    options: ClassVar[type[WorkflowOptions]] = WorkflowOptions
    durability: ClassVar[Durability] = Durability.STRICT
    uses_process: ClassVar[bool] = False
    literal_options: ClassVar[frozenset[str]] = frozenset({"wait"})

    async def execute(self, context: Context) -> Mapping[str, JSON] | Suspended:
        """Start the run, or find the one that an earlier call of the same attempt started.

        Raises:
            NodeError: it cannot be started.
        """
        options: WorkflowOptions = context.options
        child = await context.children.start(
            ChildRequest(
                parent=RunId(context.run_id),
                epoch=context.epoch,
                node_id=context.node_id,
                item=context.item_index,
                attempt=context.attempt,
                workflow_id=options.id,
                version=options.version,
                inputs=context.raw_inputs,
                wait=options.wait,
            )
        )
        if options.wait:
            return Suspended(child=child.run_id, version=child.version)
        return {"run_id": child.run_id, "version": child.version}

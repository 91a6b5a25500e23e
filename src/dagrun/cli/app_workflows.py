"""The commands under ``dagrun workflows``. What they do is imported when they are called."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.options import ASKED, Asked, version
from dagrun.errors import ConfigError

workflows = App(
    name="workflows",
    help="Register workflows, and look at those that are registered.",
    version=version,
)
WorkflowId = Annotated[str, Parameter(help="Id of the workflow.")]


@workflows.command
def register(
    *files: Annotated[Path, Parameter(help="Workflow documents.")],
    metadata: Annotated[
        list[str] | None,
        Parameter(negative="", help="To be kept with them, as key=value. May be repeated."),
    ] = None,
    asked: Asked = ASKED,
) -> int:
    """Keep versions of workflows under their ids. A version never changes."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    if not files:
        raise ConfigError("workflows register: name at least one FILE")
    return command.register(asked, files, metadata=metadata or [])


@workflows.command(name="list")
def list_workflows(
    *,
    limit: Annotated[int, Parameter(help="Most workflows to list, up to 1000.")] = 100,
    cursor: Annotated[str | None, Parameter(help="Where the page before this one ended.")] = None,
    asked: Asked = ASKED,
) -> int:
    """List the current version of each workflow."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.list_workflows(asked, limit=limit, cursor=cursor)


@workflows.command
def versions(workflow_id: WorkflowId, /, *, asked: Asked = ASKED) -> int:
    """List the versions of a workflow, the highest first."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.list_versions(asked, workflow_id)


@workflows.command
def show(
    workflow_id: WorkflowId,
    version: Annotated[str | None, Parameter(help="The version. Default: the current one.")] = None,
    /,
    *,
    asked: Asked = ASKED,
) -> int:
    """Show a version of a workflow with its content."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.show(asked, workflow_id, version)


@workflows.command
def diff(
    workflow_id: WorkflowId,
    old: Annotated[str, Parameter(help="The version before.")],
    new: Annotated[
        str | None, Parameter(help="The version after. Default: the current one.")
    ] = None,
    /,
    *,
    asked: Asked = ASKED,
) -> int:
    """Show what changed from one version to another."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.diff(asked, workflow_id, old, new)


@workflows.command
def delete(
    workflow_id: WorkflowId,
    version: Annotated[str | None, Parameter(help="The version. Default: all.")] = None,
    /,
    *,
    force: Annotated[
        bool, Parameter(negative="", help="Delete it although a registered workflow calls it.")
    ] = False,
    asked: Asked = ASKED,
) -> int:
    """Delete a version of a workflow, or all. Its runs go on, and stay."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.delete(asked, workflow_id, version, force=force)

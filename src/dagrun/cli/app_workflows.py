"""The commands under ``dagrun workflows``. What they do is imported when they are called."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.options import (
    Config,
    DataDir,
    Json,
    Server,
    client_of,
    settings_of,
    version,
)
from dagrun.errors import ConfigError
from dagrun.settings import Settings
from dagrun.settings.client import ClientSettings

workflows = App(
    name="workflows",
    help="Register workflows, and look at those that are registered.",
    version=version,
)
WorkflowId = Annotated[str, Parameter(help="Id of the workflow.")]


def _where(config: Path | None, server: Server, data_dir: Path | None) -> ClientSettings | Settings:
    client = client_of(config, server=server, data_dir=data_dir)
    return settings_of(config, data_dir=data_dir) if client is None else client


@workflows.command
def register(
    *files: Annotated[Path, Parameter(help="Workflow documents.")],
    metadata: Annotated[
        list[str] | None,
        Parameter(negative="", help="To be kept with them, as key=value. May be repeated."),
    ] = None,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Keep versions of workflows under their ids. A version never changes."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    if not files:
        raise ConfigError("workflows register: name at least one FILE")
    where = _where(config, server, data_dir)
    return command.register(where, files, metadata=metadata or [], as_json=json)


@workflows.command(name="list")
def list_workflows(
    *,
    limit: Annotated[int, Parameter(help="Most workflows to list, up to 1000.")] = 100,
    cursor: Annotated[str | None, Parameter(help="Where the page before this one ended.")] = None,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """List the current version of each workflow."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    where = _where(config, server, data_dir)
    return command.list_workflows(where, limit=limit, cursor=cursor, as_json=json)


@workflows.command
def versions(
    workflow_id: WorkflowId,
    /,
    *,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """List the versions of a workflow, the highest first."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.list_versions(_where(config, server, data_dir), workflow_id, as_json=json)


@workflows.command
def show(
    workflow_id: WorkflowId,
    version: Annotated[str | None, Parameter(help="The version. Default: the current one.")] = None,
    /,
    *,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Show a version of a workflow with its content."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.show(_where(config, server, data_dir), workflow_id, version, as_json=json)


@workflows.command
def diff(
    workflow_id: WorkflowId,
    old: Annotated[str, Parameter(help="The version before.")],
    new: Annotated[
        str | None, Parameter(help="The version after. Default: the current one.")
    ] = None,
    /,
    *,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Show what changed from one version to another."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    return command.diff(_where(config, server, data_dir), workflow_id, old, new, as_json=json)


@workflows.command
def delete(
    workflow_id: WorkflowId,
    version: Annotated[str | None, Parameter(help="The version. Default: all.")] = None,
    /,
    *,
    force: Annotated[
        bool, Parameter(negative="", help="Delete it although a registered workflow calls it.")
    ] = False,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Delete a version of a workflow, or all. Its runs go on, and stay."""
    from dagrun.cli import workflows as command  # noqa: PLC0415 — loaded on use

    where = _where(config, server, data_dir)
    return command.delete(where, workflow_id, version, force=force, as_json=json)

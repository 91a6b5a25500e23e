"""The commands under ``dagrun runs``. What they do is imported when they are called."""

from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.options import SETTINGS, Config, DataDir, Json, RunId, settings_of, version

runs = App(
    name="runs",
    help="Look at runs, past and present, and change those that go on.",
    version=version,
)


@runs.command(name="list")
def list_runs(
    *,
    workflow: Annotated[str | None, Parameter(help="Only runs of this workflow.")] = None,
    status: Annotated[
        str | None,
        Parameter(
            help="Only runs that are queued, running, paused, cancelling, ending, succeeded, "
            "failed, cancelled or cut-off."
        ),
    ] = None,
    limit: Annotated[int, Parameter(help="Most runs to list, up to 1000.")] = 20,
    cursor: Annotated[str | None, Parameter(help="Where the page before this one ended.")] = None,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """List runs, newest first."""
    from dagrun.cli import runs as command  # noqa: PLC0415 — loaded on use

    return command.list_runs(
        settings_of(config, data_dir=data_dir),
        workflow=workflow,
        status=status,
        limit=limit,
        cursor=cursor,
        as_json=json,
    )


@runs.command
def show(
    run_id: RunId,
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Show how a run went, node by node."""
    from dagrun.cli import runs as command  # noqa: PLC0415 — loaded on use

    return command.show_run(settings_of(config, data_dir=data_dir), run_id, as_json=json)


@runs.command
def logs(
    run_id: RunId,
    node: Annotated[str | None, Parameter(help="Only the logs of this node.")] = None,
    /,
    *,
    item: Annotated[int | None, Parameter(help="Only this for_each item, from 0.")] = None,
    attempt: Annotated[int | None, Parameter(help="Only this attempt, from 1.")] = None,
    follow: Annotated[
        bool,
        Parameter(
            name=["--follow", "-f"], negative="", help="Go on as they write, until the run ends."
        ),
    ] = False,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Print what the nodes of a run wrote."""
    if follow:
        from dagrun.cli.follow import follow_logs as show_logs  # noqa: PLC0415 — loaded on use
    else:
        from dagrun.cli.runs import show_logs  # noqa: PLC0415 — as above

    return show_logs(
        settings_of(config, data_dir=data_dir),
        run_id,
        node=node,
        item=item,
        attempt=attempt,
        as_json=json,
    )


@runs.command
def watch(
    run_id: RunId,
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Show how a run goes, whichever process executes it, until it has ended."""
    from dagrun.cli.watch import watch_run  # noqa: PLC0415 — loaded on use

    return watch_run(settings_of(config, data_dir=data_dir), run_id, as_json=json)


@runs.command
def cancel(
    run_id: RunId,
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Cancel a run, whichever process executes it, also one that was cut off."""
    from dagrun.cli.manage import change_run  # noqa: PLC0415 — loaded on use

    return change_run(settings_of(config, data_dir=data_dir), run_id, "cancel", as_json=json)


@runs.command
def pause(
    run_id: RunId,
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Let a run start no further node. What runs finishes."""
    from dagrun.cli.manage import change_run  # noqa: PLC0415 — loaded on use

    return change_run(settings_of(config, data_dir=data_dir), run_id, "pause", as_json=json)


@runs.command
def resume(
    run_id: RunId,
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Let a paused run go on. One that was cut off is gone on with by dagrun run --resume."""
    from dagrun.cli.manage import change_run  # noqa: PLC0415 — loaded on use

    return change_run(settings_of(config, data_dir=data_dir), run_id, "resume", as_json=json)


@runs.command
def explain(
    run_id: RunId,
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Say why a run stands where it stands."""
    from dagrun.cli.manage import explain_run  # noqa: PLC0415 — loaded on use

    return explain_run(settings_of(config, data_dir=data_dir), run_id, as_json=json)


@runs.command
def prune(
    *,
    older_than: Annotated[
        str | None,
        Parameter(help="Age since the end, such as 12h or 7d. Default: the retention."),
    ] = None,
    retention: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="How long ended runs are kept. DAGRUN_RETENTION; default: 30d.",
        ),
    ] = None,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Delete runs that ended long ago, with their logs."""
    from dagrun.cli.manage import prune_runs  # noqa: PLC0415 — loaded on use

    settings = settings_of(config, data_dir=data_dir, retention=retention)
    return prune_runs(settings, older_than=older_than, as_json=json)

"""The commands under ``dagrun runs``. What they do is imported when they are called."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.flags import SETTINGS
from dagrun.cli.options import (
    ASKED,
    Asked,
    Config,
    DataDir,
    Json,
    RunId,
    settings_of,
    version,
)

runs = App(
    name="runs",
    help="Look at runs, past and present, and change those that go on.",
    version=version,
)


@runs.command
def start(
    workflow: Annotated[str, Parameter(help="Id of the registered workflow.")],
    /,
    *,
    version: Annotated[
        str | None, Parameter(help="The version. Default: the highest that is no pre-release.")
    ] = None,
    input: Annotated[  # noqa: A002 — the flag's name
        list[str] | None,
        Parameter(
            name=["--input", "-i"],
            negative="",
            help="An input, as key=value; other values than text as JSON.",
        ),
    ] = None,
    inputs_file: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True, help="Inputs from a JSON or YAML file; - is standard input."
        ),
    ] = None,
    priority: Annotated[
        int | None, Parameter(help="Higher goes first. Default: the workflow's.")
    ] = None,
    idempotency_key: Annotated[
        str | None, Parameter(help="Calls with the same key are one run, for 24 hours.")
    ] = None,
    wait: Annotated[
        bool, Parameter(negative="", help="Wait for the end, and print how it went.")
    ] = False,
    asked: Asked = ASKED,
) -> int:
    """Start a run of a registered workflow, on an orchestrator."""
    from dagrun.cli.start import start_run  # noqa: PLC0415 — loaded on use

    return start_run(
        asked,
        workflow,
        version=version,
        pairs=input or [],
        inputs_file=inputs_file,
        priority=priority,
        idempotency_key=idempotency_key,
        wait=wait,
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
    top_level: Annotated[
        bool, Parameter(negative="", help="Only runs that are nobody's child.")
    ] = False,
    limit: Annotated[int, Parameter(help="Most runs to list, up to 1000.")] = 20,
    cursor: Annotated[str | None, Parameter(help="Where the page before this one ended.")] = None,
    asked: Asked = ASKED,
) -> int:
    """List runs, newest first."""
    from dagrun.cli.runs import list_runs as command  # noqa: PLC0415 — loaded on use

    return command(
        asked,
        workflow=workflow,
        status=status,
        top_level=top_level,
        limit=limit,
        cursor=cursor,
    )


@runs.command
def show(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Show how a run went, node by node."""
    from dagrun.cli.runs import show_run  # noqa: PLC0415 — loaded on use

    return show_run(asked, run_id)


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
    asked: Asked = ASKED,
) -> int:
    """Print what the nodes of a run wrote."""
    from dagrun.cli.node_logs import follow_logs, show_logs  # noqa: PLC0415 — loaded on use

    command = follow_logs if follow else show_logs
    return command(asked, run_id, node=node, item=item, attempt=attempt)


@runs.command
def watch(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Show how a run goes, whichever process executes it, until it has ended."""
    from dagrun.cli.watch import watch_run  # noqa: PLC0415 — loaded on use

    return watch_run(asked, run_id)


@runs.command
def cancel(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Cancel a run, whichever process executes it, also one that was cut off."""
    from dagrun.cli.changes import change_run  # noqa: PLC0415 — loaded on use

    return change_run(asked, run_id, "cancel")


@runs.command
def pause(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Let a run start no further node. What runs finishes."""
    from dagrun.cli.changes import change_run  # noqa: PLC0415 — loaded on use

    return change_run(asked, run_id, "pause")


@runs.command
def resume(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Let a paused run go on. One that was cut off is gone on with by dagrun run --resume."""
    from dagrun.cli.changes import change_run  # noqa: PLC0415 — loaded on use

    return change_run(asked, run_id, "resume")


runs.command(
    "dagrun.cli.app_reruns:retry",
    name="retry",
    help="Do once more what a run did not bring off, in a new run that keeps the rest.",
)
runs.command(
    "dagrun.cli.app_reruns:rerun",
    name="rerun",
    help="Do once more what a run did, from a node on or all of it, in a new run.",
)


@runs.command
def explain(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Say why a run stands where it stands."""
    from dagrun.cli.runs import explain_run  # noqa: PLC0415 — loaded on use

    return explain_run(asked, run_id)


@runs.command
def tree(run_id: RunId, /, *, asked: Asked = ASKED) -> int:
    """Show the runs that a run started, and those that these started."""
    from dagrun.cli.tree import show_tree  # noqa: PLC0415 — loaded on use

    return show_tree(asked, run_id)


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

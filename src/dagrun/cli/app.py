"""The commands and their options. What they do is imported when they are called."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import UnusedCliTokensError

from dagrun.cli import output
from dagrun.errors import ConfigError, DagrunError
from dagrun.settings import Settings, read_settings


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 — only this command needs it

    return f"dagrun {version('dagrun-core')}"


SETTINGS = Group("Settings", sort_key=9)
Json = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print JSON for programs."),
]
DataDir = Annotated[
    Path | None,
    Parameter(
        name="--data-dir",
        group=SETTINGS,
        help="Where state lives. DAGRUN_DATA_DIR; default: the user's data directory.",
    ),
]
Config = Annotated[
    Path | None,
    Parameter(
        name="--config", group=SETTINGS, help="File with settings. Default: dagrun.toml, if any."
    ),
]

app = App(
    name="dagrun",
    help="Run workflows, durably: directed acyclic graphs of Lua, shell and Python nodes.",
    version=_version,
    help_format="plaintext",
)
runs = App(name="runs", help="Look at runs, past and present.")
app.command(runs)


@app.command
def run(
    file: Annotated[Path | None, Parameter(help="The workflow's document.")] = None,
    /,
    *,
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
    resume: Annotated[
        str | None, Parameter(help="Go on with a run whose process has ended.")
    ] = None,
    json: Json = False,
    parallel: Annotated[
        int | None,
        Parameter(
            group=SETTINGS,
            help="Most process nodes at once. DAGRUN_PARALLEL; default: 4 a core.",
        ),
    ] = None,
    grace: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="Most time that nodes get at shutdown, such as 30 or 1m. DAGRUN_GRACE; default: 30.",
        ),
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        Parameter(
            group=SETTINGS,
            help="Where the provider file finds secrets. DAGRUN_SECRETS_DIR; default: nowhere.",
        ),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Run a workflow in this process, durably, and show how it goes."""
    from dagrun.cli.run import run_file  # noqa: PLC0415 — loaded on use

    return run_file(
        file,
        inputs=input or [],
        inputs_file=inputs_file,
        resume=resume,
        as_json=json,
        settings=_settings(
            config,
            data_dir=data_dir,
            parallel=parallel,
            grace=grace,
            secrets_dir=secrets_dir,
        ),
    )


@app.command
def validate(
    *files: Annotated[Path, Parameter(help="Workflow documents.")],
    json: Json = False,
) -> int:
    """Check workflow documents, and tell everything that is wrong with them."""
    from dagrun.cli.validate import validate_files  # noqa: PLC0415 — loaded on use

    if not files:
        raise ConfigError("validate: name at least one FILE")
    return validate_files(files, as_json=json)


@app.command
def plugins(*, json: Json = False) -> int:
    """List the installed plugins and what they offer."""
    from dagrun.cli.plugins import list_plugins  # noqa: PLC0415 — loaded on use

    return list_plugins(as_json=json)


@runs.command(name="list")
def list_runs(
    *,
    workflow: Annotated[str | None, Parameter(help="Only runs of this workflow.")] = None,
    status: Annotated[str | None, Parameter(help="Only runs in this state.")] = None,
    limit: Annotated[int, Parameter(help="Most runs to list, up to 1000.")] = 20,
    cursor: Annotated[str | None, Parameter(help="Where the page before this one ended.")] = None,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """List runs, newest first."""
    from dagrun.cli import runs as command  # noqa: PLC0415 — loaded on use

    return command.list_runs(
        _settings(config, data_dir=data_dir),
        workflow=workflow,
        status=status,
        limit=limit,
        cursor=cursor,
        as_json=json,
    )


@runs.command
def show(
    run_id: Annotated[str, Parameter(help="Id of the run.")],
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Show how a run went, node by node."""
    from dagrun.cli import runs as command  # noqa: PLC0415 — loaded on use

    return command.show_run(_settings(config, data_dir=data_dir), run_id, as_json=json)


@runs.command
def logs(
    run_id: Annotated[str, Parameter(help="Id of the run.")],
    node: Annotated[str | None, Parameter(help="Only the logs of this node.")] = None,
    /,
    *,
    item: Annotated[int | None, Parameter(help="Only this for_each item, from 0.")] = None,
    attempt: Annotated[int | None, Parameter(help="Only this attempt, from 1.")] = None,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Print what the nodes of a run wrote."""
    from dagrun.cli import runs as command  # noqa: PLC0415 — loaded on use

    return command.show_logs(
        _settings(config, data_dir=data_dir),
        run_id,
        node=node,
        item=item,
        attempt=attempt,
        as_json=json,
    )


def _settings(config: Path | None, **flags: object) -> Settings:
    return read_settings(flags, environ=os.environ, config=config)


def run_command(argv: Sequence[str]) -> int:
    """Run one command. Give the exit code."""
    as_json = any(argument in ("--json", "--json=true") for argument in argv)
    try:
        code = _call(argv, as_json=as_json)
        output.flush()
    except output.OutputLost as lost:
        return output.stdout_is_gone(lost)
    return code


def _call(argv: Sequence[str], *, as_json: bool) -> int:
    try:
        result: Any = app(
            argv, print_error=False, exit_on_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        return output.report(ConfigError(_usage(error)), as_json=as_json)
    except DagrunError as error:
        return output.report(error, as_json=as_json)
    except KeyboardInterrupt:
        return output.INTERRUPTED
    except OSError as error:
        if not _prints_help(argv):
            raise
        raise output.OutputLost from error
    return result if isinstance(result, int) else output.DONE


def _prints_help(argv: Sequence[str]) -> bool:
    """Whether the parser answers the command by itself, on standard output."""
    return len(argv) < 2 or not {"--help", "-h", "--version"}.isdisjoint(argv)


def _usage(error: CycloptsError) -> str:
    command = " ".join(error.command_chain or ()) or "dagrun"
    if isinstance(error, UnusedCliTokensError):
        unused = " ".join(error.unused_tokens or ())
        return f"{command}: nothing is done with {unused!r}. Try: dagrun {command} --help".replace(
            "dagrun dagrun", "dagrun"
        )
    return f"{error} Try: dagrun {command} --help".replace("dagrun dagrun", "dagrun")

"""The commands and their options. What they do is imported when they are called."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import UnknownCommandError, UnusedCliTokensError

from dagrun.cli import output
from dagrun.cli.flags import SETTINGS
from dagrun.cli.imports import importing
from dagrun.cli.options import (
    Config,
    DataDir,
    Json,
    Server,
    client_of,
    settings_of,
    version,
)
from dagrun.errors import ConfigError, DagrunError

TRUE = ("yes", "y", "1", "true", "t")
"""What the parser takes for true behind ``--json=``."""

app = App(
    name="dagrun",
    help="Run workflows, durably: directed acyclic graphs of Lua, shell, Python and HTTP nodes.",
    version=version,
    help_format="plaintext",
)
app.command(  # imported when it is used
    "dagrun.cli.app_runs:runs",
    name="runs",
    help="Look at runs, past and present, and change those that go on.",
)
app.command(
    "dagrun.cli.app_workflows:workflows",
    name="workflows",
    help="Register workflows, and look at those that are registered.",
)
app.command(
    "dagrun.cli.app_engines:engines",
    name="engines",
    help="Look at the engines of an orchestrator, and let them take runs or not.",
)
app.command(
    "dagrun.cli.app_tokens:tokens",
    name="tokens",
    help="Decide who may call the orchestrator of the data directory.",
)
app.command(
    "dagrun.cli.app_roles:orchestrator",
    name="orchestrator",
    help="Accept runs, keep their journals, and give them to engines, until SIGTERM or Ctrl-C.",
)
app.command(
    "dagrun.cli.app_roles:engine",
    name="engine",
    help="Execute the runs that an orchestrator gives, until SIGTERM or Ctrl-C.",
)


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
    retention: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="How long ended runs are kept, such as 12h, or forever. DAGRUN_RETENTION; "
            "default: 30d.",
        ),
    ] = None,
    http_allow: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="Hosts, addresses and networks that are not public, and that http nodes may reach, "
            "with commas between them. DAGRUN_HTTP_ALLOW; default: none.",
        ),
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        Parameter(
            group=SETTINGS,
            help="Where the provider file finds secrets. DAGRUN_SECRETS_DIR; default: nowhere.",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="How lines of the log look: console or json. DAGRUN_LOG_FORMAT; default: warnings "
            "stand as they are.",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        Parameter(group=SETTINGS, help="Log nothing below this level. DAGRUN_LOG_LEVEL."),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Run a workflow in this process, durably, and show how it goes."""
    with importing():
        from dagrun.cli.run import run_file  # noqa: PLC0415 — loaded on use

    return run_file(
        file,
        inputs=input or [],
        inputs_file=inputs_file,
        resume=resume,
        as_json=json,
        settings=settings_of(
            config,
            data_dir=data_dir,
            parallel=parallel,
            grace=grace,
            retention=retention,
            http_allow=http_allow,
            secrets_dir=secrets_dir,
            log_format=log_format,
            log_level=log_level,
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
def events(
    *,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], negative="", help="Go on as events happen.")
    ] = False,
    after: Annotated[str | None, Parameter(help="Only events behind the one with this id.")] = None,
    limit: Annotated[int, Parameter(help="Most events to print before following.")] = 100,
    severity: Annotated[
        str, Parameter(help="Leave out what is less: info, warning, error, critical.")
    ] = "info",
    type: Annotated[  # noqa: A002 — the flag's name
        list[str] | None,
        Parameter(
            negative="", help="Only this type, such as run.failed, or node. May be repeated."
        ),
    ] = None,
    workflow: Annotated[str | None, Parameter(help="Only events of this workflow.")] = None,
    run: Annotated[str | None, Parameter(help="Only events of this run.")] = None,
    json: Json = False,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Print what happened in all runs of the data directory, whoever executes them."""
    client = client_of(config, server=server, data_dir=data_dir)
    if client is not None:
        from dagrun.cli.remote_streams import print_events as ask  # noqa: PLC0415 — loaded on use

        return ask(
            client,
            follow=follow,
            after=after,
            limit=limit,
            severity=severity,
            types=type or [],
            workflow=workflow,
            run=run,
            as_json=json,
        )
    from dagrun.cli.events import print_events  # noqa: PLC0415 — loaded on use

    return print_events(
        settings_of(config, data_dir=data_dir),
        follow=follow,
        after=after,
        limit=limit,
        severity=severity,
        types=type or [],
        workflow=workflow,
        run=run,
        as_json=json,
    )


@app.command
def backup(
    file: Annotated[Path, Parameter(help="The copy: it must not exist yet, but for --restore.")],
    /,
    *,
    restore: Annotated[
        bool, Parameter(negative="", help="Bring FILE back as the database of the data directory.")
    ] = False,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Copy the database, also while it is used. Logs are files beside it, and are not copied."""
    from dagrun.cli import backup as command  # noqa: PLC0415 — loaded on use

    act = command.restore if restore else command.backup
    return act(settings_of(config, data_dir=data_dir), file, as_json=json)


@app.command
def plugins(*, json: Json = False) -> int:
    """List the installed plugins and what they offer."""
    from dagrun.cli.plugins import list_plugins  # noqa: PLC0415 — loaded on use

    return list_plugins(as_json=json)


@app.command
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Whose completion.")], /
) -> int:
    """Print what lets bash, zsh or fish complete dagrun's commands."""
    from dagrun.cli.completion import print_script  # noqa: PLC0415 — loaded on use

    return print_script(app, shell)


def run_command(argv: Sequence[str]) -> int:
    """Run one command. Give the exit code."""
    as_json = any(_wants_json(argument) for argument in argv)
    try:
        code = _call(argv, as_json=as_json)
        output.flush()
    except output.OutputLost as lost:
        return output.stdout_is_gone(lost)
    return code


def _wants_json(argument: str) -> bool:
    """Whether an argument is the flag; it counts also when others cannot be understood."""
    flag, given, value = argument.partition("=")
    return flag == "--json" and (not given or value.lower() in TRUE)


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


def _meant(word: str) -> list[str] | None:
    """Give the command that is meant by a word that is none."""
    from dagrun.cli.app_runs import runs  # noqa: PLC0415 — loaded on use

    if word in set(runs):
        return ["dagrun", "runs", word]
    if Path(word).suffix in (".yaml", ".yml", ".json"):
        return ["dagrun", "run", word]
    return ["dagrun", "--help"] if word == "help" else None


def _prints_help(argv: Sequence[str]) -> bool:
    """Whether the parser answers the command by itself, on standard output."""
    return len(argv) < 2 or not {"--help", "-h", "--version"}.isdisjoint(argv)


def _usage(error: CycloptsError) -> str:
    command = " ".join(error.command_chain or ()) or "dagrun"
    if isinstance(error, UnknownCommandError) and command == "dagrun":
        words = error.unused_tokens or [""]
        if (meant := _meant(words[0])) is not None:
            return f"there is no command {words[0]!r}. Did you mean: {shlex.join([*meant, *words[1:]])}"
    if isinstance(error, UnusedCliTokensError):
        unused = " ".join(error.unused_tokens or ())
        hint = f"Give an input with: -i {unused}" if command == "run" and "=" in unused else ""
        hint = hint or f"Try: dagrun {command} --help".replace("dagrun dagrun", "dagrun")
        return f"{command}: unexpected argument {unused!r}. {hint}"
    return f"{error} Try: dagrun {command} --help".replace("dagrun dagrun", "dagrun")

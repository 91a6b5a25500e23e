"""The commands under ``dagrun tokens``. What they do is imported when they are called."""

from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.options import Config, DataDir, Json, settings_of, version

tokens = App(
    name="tokens",
    help="Decide who may call the orchestrator of the data directory.",
    version=version,
)


@tokens.command
def create(
    role: Annotated[
        str,
        Parameter(
            help="What its holder may do: viewer looks, operator starts and changes runs, too, "
            "admin does everything; engine is an engine."
        ),
    ],
    /,
    *,
    note: Annotated[str, Parameter(help="Who has it, for people.")] = "",
    expires: Annotated[
        str | None,
        Parameter(help="How long it is accepted, such as 12h or 30d. Default: for ever."),
    ] = None,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Make a token, and print it. From the first one on, everybody needs one."""
    from dagrun.cli import tokens as command  # noqa: PLC0415 — loaded on use

    settings = settings_of(config, data_dir=data_dir)
    return command.create(settings, role, note=note, expires=expires, as_json=json)


@tokens.command(name="list")
def list_tokens(*, json: Json = False, data_dir: DataDir = None, config: Config = None) -> int:
    """List the tokens, without what is secret."""
    from dagrun.cli import tokens as command  # noqa: PLC0415 — loaded on use

    return command.list_tokens(settings_of(config, data_dir=data_dir), as_json=json)


@tokens.command
def revoke(
    token_id: Annotated[str, Parameter(help="Id of the token, from the list.")],
    /,
    *,
    json: Json = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Accept a token no more."""
    from dagrun.cli import tokens as command  # noqa: PLC0415 — loaded on use

    return command.revoke(settings_of(config, data_dir=data_dir), token_id, as_json=json)

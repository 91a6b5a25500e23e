"""Options that several commands have."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from dagrun.cli.flags import SETTINGS, flags_of, given
from dagrun.errors import ConfigError
from dagrun.settings import Settings, read_settings
from dagrun.settings.client import ClientSettings
from dagrun.settings.reading import read

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
if TYPE_CHECKING:
    ClientFlags = Any
else:
    ClientFlags = flags_of(ClientSettings)

Server = Annotated[ClientFlags | None, Parameter(name="*")]
"""Which server to ask, and how."""

Config = Annotated[
    Path | None,
    Parameter(
        name="--config", group=SETTINGS, help="File with settings. Default: dagrun.toml, if any."
    ),
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Asked:
    """Whom to ask, and in which form to answer."""

    json: Json = False
    server: Server = None
    data_dir: DataDir = None
    config: Config = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Executing:
    """How runs are executed in the command's own process."""

    parallel: Annotated[
        int | None,
        Parameter(
            group=SETTINGS,
            help="Most process nodes at once. DAGRUN_PARALLEL; default: 4 a core.",
        ),
    ] = None
    grace: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="Most time that nodes get at shutdown, such as 30 or 1m. DAGRUN_GRACE; default: 30.",
        ),
    ] = None
    retention: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="How long ended runs are kept, such as 12h, or forever. DAGRUN_RETENTION; "
            "default: 30d.",
        ),
    ] = None
    http_allow: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="Hosts, addresses and networks that are not public, and that http nodes may reach, "
            "with commas between them. DAGRUN_HTTP_ALLOW; default: none.",
        ),
    ] = None
    secrets_dir: Annotated[
        Path | None,
        Parameter(
            group=SETTINGS,
            help="Where the provider file finds secrets. DAGRUN_SECRETS_DIR; default: nowhere.",
        ),
    ] = None
    log_format: Annotated[
        str | None,
        Parameter(
            group=SETTINGS,
            help="How lines of the log look: console or json. DAGRUN_LOG_FORMAT; default: warnings "
            "stand as they are.",
        ),
    ] = None
    log_level: Annotated[
        str | None,
        Parameter(group=SETTINGS, help="Log nothing below this level. DAGRUN_LOG_LEVEL."),
    ] = None

    def settings(self, config: Path | None, data_dir: Path | None) -> Settings:
        """Read the settings, with these flags on top."""
        return settings_of(config, data_dir=data_dir, **attrs.asdict(self))


ASKED = Asked()
EXECUTING = Executing()
RunId = Annotated[str, Parameter(help="Id of the run.")]


def settings_of(config: Path | None, **flags: object) -> Settings:
    """Read the settings, with the flags of a command on top."""
    return read_settings(flags, environ=os.environ, config=config)


def client_of(asked: Asked) -> ClientSettings:
    """Read how to reach a server; ``server`` in it is None if none is named.

    Raises:
        ConfigError: flags name a server and a data directory.
    """
    flags = given(asked.server)
    if "server" in flags and asked.data_dir is not None:
        raise ConfigError("name a --server or a --data-dir: a command asks the one or the other")
    client = read(ClientSettings, flags, environ=os.environ, config=asked.config)
    return client if asked.data_dir is None else attrs.evolve(client, server=None)


def version() -> str:
    """Give what ``--version`` prints, whichever command it stands behind."""
    from importlib.metadata import version  # noqa: PLC0415 — only this flag needs it

    return f"dagrun {version('dagrun-core')}"

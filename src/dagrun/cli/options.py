"""Options that several commands have."""

import os
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Group, Parameter

from dagrun.errors import ConfigError
from dagrun.settings import Settings, read_settings
from dagrun.settings.client import ClientSettings
from dagrun.settings.reading import read

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
Server = Annotated[
    str | None,
    Parameter(
        name="--server",
        group=SETTINGS,
        help="The orchestrator to ask, as host:port. DAGRUN_SERVER; default: the data directory "
        "itself is looked into.",
    ),
]
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
class AskedServer:
    """The same, of what only a server can do."""

    json: Json = False
    server: Server = None
    config: Config = None

    def client(self, what: str) -> ClientSettings:
        """Read which server to ask.

        Raises:
            ConfigError: none is named.
        """
        return needed_client(self.config, server=self.server, what=what)


ASKED = Asked()
ASKED_SERVER = AskedServer()
RunId = Annotated[str, Parameter(help="Id of the run.")]


def settings_of(config: Path | None, **flags: object) -> Settings:
    """Read the settings, with the flags of a command on top."""
    return read_settings(flags, environ=os.environ, config=config)


def client_of(
    config: Path | None, *, server: str | None, data_dir: Path | None = None
) -> ClientSettings | None:
    """Read which server to ask; None to look into the data directory.

    Raises:
        ConfigError: flags name both.
    """
    if server is not None and data_dir is not None:
        raise ConfigError("name a --server or a --data-dir: a command asks the one or the other")
    if data_dir is not None:
        return None
    client = read(ClientSettings, {"server": server}, environ=os.environ, config=config)
    return None if client.server is None else client


def needed_client(config: Path | None, *, server: str | None, what: str) -> ClientSettings:
    """Read which server to ask, for what only a server can do.

    Raises:
        ConfigError: none is named.
    """
    client = client_of(config, server=server)
    if client is None:
        raise ConfigError(
            f"{what} needs a running orchestrator: start one with: dagrun orchestrator, and name it "
            "with --server host:port, or DAGRUN_SERVER"
        )
    return client


def version() -> str:
    """Give what ``--version`` prints, whichever command it stands behind."""
    from importlib.metadata import version  # noqa: PLC0415 — only this flag needs it

    return f"dagrun {version('dagrun-core')}"

"""Options that several commands have."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from dagrun.settings import Settings, read_settings

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
RunId = Annotated[str, Parameter(help="Id of the run.")]


def settings_of(config: Path | None, **flags: object) -> Settings:
    """Read the settings, with the flags of a command on top."""
    return read_settings(flags, environ=os.environ, config=config)


def version() -> str:
    """Give what ``--version`` prints, whichever command it stands behind."""
    from importlib.metadata import version  # noqa: PLC0415 — only this flag needs it

    return f"dagrun {version('dagrun-core')}"

"""Settings: flags beat the environment, which beats ``dagrun.toml``.

A setting is called ``data_dir`` in the file, ``DAGRUN_DATA_DIR`` in the environment and
``--data-dir`` as a flag. All are read once, at the start, into one frozen object. This module has
what every command reads; what only a role reads is in a module of its own.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from dagrun.settings import parse
from dagrun.settings.names import PREFIX
from dagrun.settings.reading import FILE, read, setting

__all__ = ["FILE", "PREFIX", "Settings", "default_data_dir", "default_parallel", "read_settings"]

PROCESSES_PER_CORE: Final = 4
GRACE: Final = 30.0  # seconds
RETENTION: Final = 30 * 86400.0  # seconds; 30 days


def default_data_dir() -> Path:
    """Give the platform's directory for a user's data."""
    import platformdirs  # noqa: PLC0415 — 5 ms that only the default costs

    return Path(platformdirs.user_data_dir("dagrun"))


def default_parallel() -> int:
    """Give four processes a core."""
    return PROCESSES_PER_CORE * len(os.sched_getaffinity(0))


@attrs.frozen(kw_only=True)
class Settings:
    """What the operator chose."""

    data_dir: Path = setting(parse.path, default_data_dir)
    """Where state lives: database, logs, scratch directories, locks."""

    parallel: int = setting(parse.positive, default_parallel)
    """Most process nodes at once."""

    grace: float = setting(parse.seconds, lambda: GRACE)
    """Seconds that running nodes get at shutdown, at most."""

    retention: float | None = setting(parse.retention, lambda: RETENTION)
    """Seconds for which ended runs are kept; None for ever."""

    http_allow: tuple[str, ...] = setting(parse.hosts, tuple)
    """Hosts, addresses and networks that ``http`` nodes may reach although they are not public."""

    secrets_dir: Path | None = setting(parse.path, lambda: None)
    """Where the provider ``file`` finds secrets; None for nowhere."""

    log_format: str | None = setting(parse.log_format, lambda: None)
    """How lines of the log look; None for warnings as they are, unless there is a level."""

    log_level: str | None = setting(parse.log_level, lambda: None)
    """What is below it is not logged; None for ``info``, if there is a format."""


def read_settings(
    flags: Mapping[str, object], *, environ: Mapping[str, str], config: Path | None = None
) -> Settings:
    """Put the settings of a process that executes runs by itself together.

    The arguments and errors are those of :func:`~dagrun.settings.reading.read`.
    """
    return read(Settings, flags, environ=environ, config=config)

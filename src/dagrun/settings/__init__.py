"""Settings: flags beat the environment, which beats ``dagrun.toml``.

A setting is called ``data_dir`` in the file, ``DAGRUN_DATA_DIR`` in the environment and
``--data-dir`` as a flag. All are read once, at the start, into one frozen object.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from dagrun.domain.durations import parse_duration
from dagrun.errors import ConfigError
from dagrun.ports.secrets import VARIABLE_PREFIX

FILE: Final = "dagrun.toml"
"""Where settings are looked for in the working directory."""

PREFIX: Final = "DAGRUN_"
PROCESSES_PER_CORE: Final = 4
GRACE: Final = 30.0  # seconds
RETENTION: Final = 30 * 86400.0  # seconds; 30 days
FOREVER: Final = "forever"


@attrs.frozen(kw_only=True)
class Settings:
    """What the operator chose."""

    data_dir: Path
    """Where state lives: database, logs, scratch directories, locks."""

    parallel: int
    """Most process nodes at once."""

    grace: float = GRACE
    """Seconds that running nodes get at shutdown, at most."""

    retention: float | None = RETENTION
    """Seconds for which ended runs are kept; None for ever."""

    http_allow: tuple[str, ...] = ()
    """Hosts, addresses and networks that ``http`` nodes may reach although they are not public."""

    secrets_dir: Path | None = None
    """Where the provider ``file`` finds secrets; None for nowhere."""


def default_data_dir() -> Path:
    """Give the platform's directory for a user's data."""
    import platformdirs  # noqa: PLC0415 — 5 ms that only the default costs

    return Path(platformdirs.user_data_dir("dagrun"))


def default_parallel() -> int:
    """Give four processes a core."""
    return PROCESSES_PER_CORE * len(os.sched_getaffinity(0))


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("a path is needed")
    return Path(value).expanduser().absolute()


def _positive(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a whole number is needed")  # noqa: TRY004 — one kind for the caller
    try:
        number = int(value)
    except ValueError:
        raise ValueError("a whole number is needed") from None
    if not 1 <= number <= 100_000:
        raise ValueError("a number from 1 to 100000 is needed")
    return number


def _seconds(value: object) -> float:
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError("seconds are needed, or a duration such as '1m'") from None


def parse_retention(value: object) -> float | None:
    """Turn a duration, or ``forever``, into seconds or None.

    Raises:
        ValueError: it is neither.
    """
    return None if value == FOREVER else _seconds(value)


def _hosts(value: object) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(entry, str) for entry in listed):
        raise ValueError("hosts, addresses or networks are needed, with commas between them")
    entries = tuple(entry.strip() for entry in listed if entry.strip())
    if entries:
        from dagrun.domain.addresses import Allowed  # noqa: PLC0415 — for those who use it

        Allowed.parse(entries)
    return entries


_PARSERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "data_dir": _path,
    "parallel": _positive,
    "grace": _seconds,
    "retention": parse_retention,
    "http_allow": _hosts,
    "secrets_dir": _path,
}
_DEFAULTS: Final[Mapping[str, Callable[[], Any]]] = {
    "data_dir": default_data_dir,
    "parallel": default_parallel,
    "grace": lambda: GRACE,
    "retention": lambda: RETENTION,
    "http_allow": lambda: (),
    "secrets_dir": lambda: None,
}


def read_settings(
    flags: Mapping[str, object], *, environ: Mapping[str, str], config: Path | None = None
) -> Settings:
    """Put the settings together.

    Args:
        flags: setting → value; None for a flag that was not given.
        environ: the process's environment.
        config: the file to read; None takes ``dagrun.toml`` if there is one.

    Raises:
        ConfigError: a value does not parse, or the file is wrong; the message names the flag,
            variable or key.
    """
    file = _read_file(config)
    for variable in environ:
        if variable.startswith(PREFIX) and not variable.startswith(VARIABLE_PREFIX):
            _refuse_misspelt(variable)
    chosen = {name: _choose(name, flags, environ, file) for name in _PARSERS}
    return Settings(**chosen)


def _choose(
    name: str, flags: Mapping[str, object], environ: Mapping[str, str], file: Mapping[str, object]
) -> Any:
    variable = PREFIX + name.upper()
    sources = (
        ("--" + name.replace("_", "-"), flags.get(name)),
        (variable, environ.get(variable)),
        (f"{FILE}: {name}", file.get(name)),
    )
    for source, value in sources:
        if value is not None:
            try:
                return _PARSERS[name](value)
            except ValueError as error:
                raise ConfigError(f"{source}: {error}, not {value!r}") from error
    return _DEFAULTS[name]()


def _read_file(config: Path | None) -> Mapping[str, object]:
    path = config or Path(FILE)
    if config is None and not path.is_file():
        return {}
    import tomllib  # noqa: PLC0415 — 2 ms that only a file costs

    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    for key in settings:
        if key not in _PARSERS:
            near = _nearest(key)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise ConfigError(f"{path}: there is no setting {key!r}{hint}")
    return settings


def _refuse_misspelt(variable: str) -> None:
    """Refuse a variable that looks like one of ours. Others may have any meaning to anybody."""
    name = variable.removeprefix(PREFIX).lower()
    if name in _PARSERS:
        return
    near = _nearest(name, cutoff=0.85)
    if near:
        hint = f"did you mean {PREFIX + near.upper()!r}?"
        raise ConfigError(f"{variable}: there is no such setting ({hint})")


def _nearest(name: str, cutoff: float = 0.6) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 — for what is misspelt only

    return next(iter(get_close_matches(name, _PARSERS, 1, cutoff)), None)

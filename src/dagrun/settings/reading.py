"""Puts settings together from flags, the environment and a file."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from dagrun.errors import ConfigError
from dagrun.ports.secrets import VARIABLE_PREFIX
from dagrun.settings.names import NAMES, PLAIN, PREFIX, PREFIXED, TABLES, flag_of, variable_of

FILE: Final = "dagrun.toml"
"""Where settings are looked for in the working directory."""

DAY: Final = 86_400.0  # seconds

S = TypeVar("S", bound=attrs.AttrsInstance)

_SERVICES: Final = ("tcp://", "udp://", "sctp://")
"""What Kubernetes puts before the address of a service."""

_PARSE: Final = "parse"
_HELP: Final = "help"


def setting(parse: Callable[[object], Any], default: Callable[[], Any], *, about: str = "") -> Any:
    """Declare a setting, as the field of a class.

    Args:
        parse: gives the value of a text or of what stands in the file; raises ValueError.
        default: gives the value if nobody chose one.
        about: one sentence for ``--help``.
    """
    return attrs.field(factory=default, metadata={_PARSE: parse, _HELP: about})


def about(field: "attrs.Attribute[Any]") -> str:
    """Give what a setting means, for ``--help``."""
    described: str = field.metadata[_HELP]
    return described


def usual(field: "attrs.Attribute[Any]") -> str:
    """Give what a setting is if nobody chose it, for ``--help``; empty if that is nothing to tell.

    What depends on the machine is none of it.
    """
    default: Any = field.default
    match default.factory():
        case str(text):
            return text
        case bool():
            return ""
        case int(number):
            return str(number)
        case float(seconds):
            days, rest = divmod(seconds, DAY)
            return f"{seconds:g}s" if rest or not days else f"{days:g}d"
        case tuple(items):
            return ",".join(items)
    return ""


def is_switch(field: "attrs.Attribute[Any]") -> bool:
    """Whether the flag of a setting has no value."""
    return field.type is bool


def read(
    kind: type[S],
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    config: Path | None = None,
) -> S:
    """Put the settings of a class together.

    Args:
        kind: a class of settings.
        flags: setting → value; None for a flag that was not given.
        environ: the process's environment.
        config: the file to read; None takes ``dagrun.toml`` if there is one.

    Raises:
        ConfigError: a value does not parse, or the file is wrong; the message names the flag,
            variable or key.
    """
    path = config or Path(FILE)
    file = {} if config is None and not path.is_file() else _read_file(path)
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and not variable.startswith(VARIABLE_PREFIX):
            _refuse_misspelt(variable, value)
    chosen: dict[str, Any] = {}
    for field in attrs.fields(kind):
        for source, given in _sources(field.name, flags, environ, (path, file)):
            if given is not None:
                chosen[field.name] = _parsed(field, source, given)
                break
    return kind(**chosen)


def _sources(
    name: str,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: tuple[Path, Mapping[str, object]],
) -> tuple[tuple[str, object], ...]:
    variable, (path, keys) = variable_of(name), file
    return (
        (flag_of(name), flags.get(name)),
        (variable, environ.get(variable)),
        (f"{path}: {name}", keys.get(name)),
    )


def _parsed(field: "attrs.Attribute[Any]", source: str, value: object) -> Any:
    try:
        return field.metadata[_PARSE](value)
    except ValueError as error:
        shown = "" if field.name == "token" else f", not {value!r}"
        raise ConfigError(f"{source}: {error}{shown}") from None


def _read_file(path: Path) -> Mapping[str, object]:
    import tomllib  # noqa: PLC0415 — 2 ms that only a file costs

    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    for key, value in settings.items():
        if key not in NAMES:
            near = _nearest(key)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise ConfigError(f"{path}: there is no setting {key!r}{hint}")
        if isinstance(value, dict) and key not in TABLES:
            raise ConfigError(f"{path}: {key} is no table: settings stand above all [sections]")
    return settings


def _refuse_misspelt(variable: str, value: str) -> None:
    """Refuse a variable that looks like one of ours. Others may have any meaning to anybody.

    Kubernetes sets ``DAGRUN_PORT=tcp://…`` for a service called ``dagrun``.
    """
    name = variable.removeprefix(PREFIX).lower()
    if name in PREFIXED or value.startswith(_SERVICES):
        return
    near = name if name in PLAIN else _nearest(name, PREFIXED, cutoff=0.85)
    if near:
        hint = f"did you mean {variable_of(near)!r}?"
        raise ConfigError(f"{variable}: there is no such setting ({hint})")


def _nearest(name: str, known: Iterable[str] = NAMES, cutoff: float = 0.6) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 — for what is misspelt only

    return next(iter(get_close_matches(name, sorted(known), 1, cutoff)), None)

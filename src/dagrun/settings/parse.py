"""What a setting's text, or value in the file, means.

Each function raises ValueError, with what would be right, for anything else.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagrun.domain.durations import parse_duration
from dagrun.domain.ids import is_engine_id

FOREVER: Final = "forever"
LARGEST: Final = 100_000
TRUE: Final = ("true", "1", "yes")
FALSE: Final = ("false", "0", "no")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]@,]+):([0-9]{1,5})")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_MAX_HOST: Final = 253  # characters, as DNS has it
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?")
_STORE: Final = re.compile(r"[a-z][a-z0-9+-]*:\S*")


def path(value: object) -> Path:
    """Give an absolute path; ``~`` is the home directory."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("a path is needed")
    return Path(value).expanduser().absolute()


def maybe_folder(value: object) -> Path | None:
    """Give the absolute path of a folder that can be looked into, or None for an empty text."""
    if value == "":
        return None
    folder = path(value)
    if not folder.is_dir():
        raise ValueError("a folder that is there is needed")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ValueError("a folder that may be looked into is needed")
    return folder


def whole(least: int, most: int) -> Callable[[object], int]:
    """Give what reads a number from ``least`` to ``most``."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("a whole number is needed")  # noqa: TRY004 — one kind for the caller
        if isinstance(value, str) and not _WHOLE.fullmatch(value.strip()):
            raise ValueError("a whole number is needed")
        number = int(value)
        if not least <= number <= most:
            raise ValueError(f"a number from {least} to {most} is needed")
        return number

    return parse


positive: Final = whole(1, LARGEST)
port: Final = whole(0, 65535)


def seconds(value: object) -> float:
    """Give the seconds of a number or a duration."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        with suppress(ValueError):
            value = float(value)
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError("seconds are needed, or a duration such as '1m'") from None


def at_least(least: float) -> Callable[[object], float]:
    """Give what reads a number of seconds, or a duration, from ``least`` on."""

    def parse(value: object) -> float:
        if (length := seconds(value)) < least:
            raise ValueError(f"{least:g} s are needed at least")
        return length

    return parse


def retention(value: object) -> float | None:
    """Turn a duration, or ``forever``, into seconds or None."""
    return None if value == FOREVER else seconds(value)


def hosts(value: object) -> tuple[str, ...]:
    """Give hosts, addresses and networks."""
    entries = _listed(value, "hosts, addresses or networks are needed, with commas between them")
    if entries:
        from dagrun.domain.addresses import Allowed  # noqa: PLC0415 — for those who use it

        Allowed.parse(entries)
    return entries


def text(value: object) -> str:
    """Give a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text is needed")
    return value.strip()


def interface(value: object) -> str:
    """Give the address of an interface; IPv6 may stand in brackets."""
    name = text(value)
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def identifier(value: object) -> str:
    """Give an id."""
    if not isinstance(value, str) or not is_engine_id(value):
        raise ValueError("1 to 128 letters, digits, '_', '-' and '.' are needed")
    return value


def names(value: object) -> tuple[str, ...]:
    """Give names of plugins, each once."""
    entries = _listed(value, "names are needed, with commas between them")
    return tuple(dict.fromkeys(entries))


def address(value: object) -> str:
    """Give ``host:port``."""
    found = _ADDRESS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError("host:port is needed")
    return found[0]


def maybe_address(value: object) -> str | None:
    """Give ``host:port``, or None for an empty text."""
    return None if value == "" else address(value)


def addresses(value: object) -> tuple[str, ...]:
    """Give some ``host:port``, each once."""
    wanted = "host:port is needed, with commas between several"
    try:
        return tuple(dict.fromkeys(map(address, _listed(value, wanted))))
    except ValueError:
        raise ValueError(wanted) from None


def service(value: object) -> str:
    """Give the name of a service, with or without a port behind it."""
    name = text(value)
    host = (address(name) if ":" in name else name).partition(":")[0]
    if len(host) > _MAX_HOST or not _HOST.fullmatch(host):
        raise ValueError("the name of a host is needed")
    return name


def pairs(value: object) -> dict[str, str]:
    """Give name → text, of a table or ``name=text,…``."""
    wanted = "name=value is needed, with commas between several"
    if isinstance(value, Mapping):
        found = {str(name): given for name, given in value.items()}
    else:
        found = _each_once(value, wanted)
    if not all(name and isinstance(given, str) for name, given in found.items()):
        raise ValueError(wanted)
    return found


def amounts(value: object) -> dict[str, float]:
    """Give name → number, of a table or ``name=number,…``."""
    wanted = "name=number is needed, with commas between several"
    if isinstance(value, Mapping):
        given = {str(name): amount for name, amount in value.items()}
    else:
        given = _each_once(value, wanted)
    try:
        found = {name: float(amount) for name, amount in given.items()}
    except (TypeError, ValueError):
        raise ValueError(wanted) from None
    if not all(name and 0 <= amount < float("inf") for name, amount in found.items()):
        raise ValueError(wanted)
    return found


def flag(value: object) -> bool:
    """Give a truth value."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in (*TRUE, *FALSE):
        raise ValueError("true or false is needed")
    return word in TRUE


def one_of(*words: str) -> Callable[[object], str]:
    """Give what reads one of some words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise ValueError(f"one of {', '.join(words)} is needed")
        return value.strip().lower()

    return parse


log_format: Final = one_of("console", "json")
log_level: Final = one_of("debug", "info", "warning", "error", "critical")


def store(value: object) -> str:
    """Give the kind of a store, and where it is, as ``kind:place``."""
    name = text(value)
    if _STORE.fullmatch(name) is None:
        raise ValueError("a store is needed, such as sqlite: or sqlite:///path")
    return name


def _each_once(value: object, wanted: str) -> dict[str, str]:
    """Give name → text of ``name=text,…``."""
    found: dict[str, str] = {}
    for entry in _listed(value, wanted):
        name, text = _pair(entry, wanted)
        if name in found:
            raise ValueError(f"each name once is needed, and {name!r} stands there twice")
        found[name] = text
    return found


def _pair(entry: str, wanted: str) -> tuple[str, str]:
    name, given, value = entry.partition("=")
    if not given:
        raise ValueError(wanted)
    return name.strip(), value.strip()


def _listed(value: object, wanted: str) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(entry, str) for entry in listed):
        raise ValueError(wanted)
    return tuple(entry.strip() for entry in listed if entry.strip())

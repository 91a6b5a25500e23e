"""Addresses of the other side."""

import re
from typing import Final

from dagrun.errors import ConfigError

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/\[\]@]+)):(?P<port>[0-9]{1,5})"
)

MAX_ADDRESS: Final = 300  # characters; a host's name has 253
SHOWN: Final = 100  # characters of what is no address


def split(address: str) -> tuple[str, int]:
    """Take ``host:port`` apart; an IPv6 address stands in brackets.

    >>> split("[::1]:50051")
    ('::1', 50051)

    Raises:
        ConfigError: it is something else.
    """
    match = _ADDRESS.fullmatch(address) if len(address) <= MAX_ADDRESS else None
    if match is None or not address.isprintable() or not 1 <= int(match["port"]) <= 65535:
        raise ConfigError(f"{address[:SHOWN]!r} is no address; write host:port")
    host = match["six"] or match["host"]
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ConfigError(f"{address[:SHOWN]!r} is no address: {error}") from error
    return host, int(match["port"])


def joined(address: tuple[object, ...]) -> str:
    """Write what a socket calls an address.

    >>> joined(("::1", 50051, 0, 0))
    '[::1]:50051'
    """
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

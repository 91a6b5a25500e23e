"""Who may call what."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from grpclib.server import Stream

from dagrun.errors import ConfigError

Accepts = Callable[[str | None, str], bool]
"""Says whether a token, or none, may do what needs a role."""

ENGINE: Final = "engine"
_SCHEME: Final = "Bearer "


class _Peer(Protocol):
    def cert(self) -> Mapping[str, Any] | None: ...


def metadata(token: str | None) -> dict[str, str]:
    """Give what a call shows.

    Raises:
        ConfigError: it cannot be shown.
    """
    if token is None:
        return {}
    if not (token.isascii() and token.isprintable() and token == token.strip() != ""):
        raise ConfigError("a token has only printable ASCII characters, and no space around it")
    return {"authorization": _SCHEME + token}


def allowed(stream: Stream[Any, Any], role: str, accepts: Accepts | None) -> bool:
    """Whether a call may do what needs a role.

    A client certificate that was verified stands for the role of an engine.
    """
    if accepts is None:
        return True
    if role == ENGINE and stream.peer.cert():
        return True
    return accepts(_shown(stream), role)


def _shown(stream: Stream[Any, Any]) -> str | None:
    """Give the token that a call shows; None if it shows none, or several."""
    values = stream.metadata.getall("authorization", []) if stream.metadata is not None else []
    if len(values) != 1 or not isinstance(values[0], str) or not values[0].startswith(_SCHEME):
        return None
    return values[0].removeprefix(_SCHEME)

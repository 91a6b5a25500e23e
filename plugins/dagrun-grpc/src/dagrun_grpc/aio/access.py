"""Who may call what."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from grpclib.server import Stream

from dagrun.errors import AccessError, ConfigError, NotAuthenticated
from dagrun.ports.tokens import Gate, Role

Accepts = Callable[[str | None, str], bool]
"""Says whether a token, or none, may do what needs a role."""

_SCHEME: Final = "Bearer "


class _Peer(Protocol):
    def cert(self) -> Mapping[str, Any] | None: ...


class AcceptsGate:
    """A gate that asks a function.

    Args:
        accepts: the function; None lets everybody in.
    """

    def __init__(self, accepts: Accepts | None) -> None:
        self._accepts = accepts

    async def admit(self, token: str | None, role: Role) -> None:
        """Let in who is accepted."""
        if self._accepts is not None and not self._accepts(token, role):
            raise NotAuthenticated("this call needs a token that is accepted")


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


async def admit(stream: Stream[Any, Any], role: Role, gate: Gate) -> None:
    """Let in who may act in a role.

    A client certificate that was verified stands for the role of an engine.

    Raises:
        AccessError: the caller may not.
    """
    if role is Role.ENGINE and stream.peer.cert():
        return
    await gate.admit(_shown(stream), role)


async def admitted(stream: Stream[Any, Any], role: Role, gate: Gate) -> bool:
    """Whether a caller may act in a role."""
    try:
        await admit(stream, role, gate)
    except AccessError:
        return False
    return True


def _shown(stream: Stream[Any, Any]) -> str | None:
    """Give the token that a call shows; None if it shows none, or several."""
    values = stream.metadata.getall("authorization", []) if stream.metadata is not None else []
    if len(values) != 1 or not isinstance(values[0], str) or not values[0].startswith(_SCHEME):
        return None
    return values[0].removeprefix(_SCHEME)

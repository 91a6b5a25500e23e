"""What a role makes of its settings: its transport, and whether it may listen where it is told to."""

import hmac
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from dagrun.errors import ConfigError
from dagrun.plugin.registry import Registry
from dagrun.ports.transport import Transport
from dagrun.settings.network import NetworkSettings

WITHIN = "memory"
"""The transport that reaches nobody outside its process."""

_ALL: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 — where others listen


def make_transport(registry: Registry, settings: NetworkSettings, *, port: int) -> Transport:
    """Make the transport that was chosen.

    Raises:
        ConfigError: it is not installed, or has no use for what was chosen.
    """
    return between_processes(registry, settings.transport_type)(
        address=settings.grpc_address,
        port=port,
        token=settings.token,
        accepts=_knows(settings.token),
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        tls_ca=settings.tls_ca,
        max_connections=settings.max_connections,
        connection_timeout=settings.connection_timeout,
    )


def between_processes(registry: Registry, name: str) -> Callable[..., Transport]:
    """Give what makes a transport that reaches other processes.

    Raises:
        ConfigError: it is not installed, or reaches nobody else.
    """
    if name == WITHIN:
        raise ConfigError(f"the transport {WITHIN!r} reaches nobody outside this process")
    return registry.transports.get(name)


def check_exposure(
    settings: NetworkSettings, *, insecure: bool, has_tokens: bool | None = None
) -> None:
    """Refuse to listen for strangers without TLS, or without asking who they are.

    Args:
        settings: say where it listens, and how.
        insecure: whether to listen nevertheless.
        has_tokens: whether there are stored tokens, one of which everybody has to show; None where
            none can be, as with an engine.

    Raises:
        ConfigError: the address is no loopback's, and something is missing.
    """
    if insecure or is_loopback(settings.grpc_address):
        return
    missing = []
    if settings.tls_cert is None:
        missing.append("TLS (--tls-cert, --tls-key)")
    if settings.token is None and settings.tls_ca is None and not has_tokens:
        token = "--token" if has_tokens is None else "make one with: dagrun tokens create"
        missing.append(f"a token ({token}) or certificates of the others (--tls-ca)")
    if missing:
        raise ConfigError(
            f"other machines reach {settings.grpc_address}: without {' and '.join(missing)} anybody "
            "could run programs here; --insecure allows it"
        )


def check_shown(address: str, token: str | None, *, tls: bool, insecure: bool = False) -> None:
    """Refuse to show a token to another machine without TLS.

    Args:
        address: who is called, as ``host:port``.
        token: what would be shown; None for nothing.
        tls: whether there is TLS.
        insecure: whether to show it nevertheless.

    Raises:
        ConfigError: everybody on the way could read it.
    """
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if token is None or tls or insecure or is_loopback(host):
        return
    raise ConfigError(
        f"{address} is another machine, and without TLS everybody on the way could read the token: "
        "name who signed its certificate with --tls-ca, or DAGRUN_TLS_CA"
    )


def from_here(address: str) -> str:
    """Give where this machine reaches what listens on an address, also if that means all of them."""
    host, _, port = address.rpartition(":")
    return f"{_ALL.get(host, host)}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _knows(token: str | None) -> Callable[[str | None, str], bool] | None:
    """Give what says whether a token that is shown, or none, is the one of this process."""
    if token is None:
        return None
    return lambda shown, _role: (
        shown is not None and hmac.compare_digest(_bytes(shown), _bytes(token))
    )


def _bytes(token: str) -> bytes:
    """Give the bytes of a token, which may be any text that a stranger has sent."""
    return token.encode(errors="surrogatepass")

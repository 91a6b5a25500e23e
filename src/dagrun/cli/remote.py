"""How commands ask a server."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import run_async
from dagrun.ports.management import Management
from dagrun.roles.network import between_processes, check_shown
from dagrun.settings.client import ClientSettings

T = TypeVar("T")


def with_server(client: ClientSettings, use: Callable[[Management], Awaitable[T]]) -> T:
    """Reach the server, and do something with it.

    Raises:
        ConfigError: the transport reaches no server, or a token would be shown to another machine
            without TLS.
        Unreachable: it does not answer.
        AccessError: it does not let the caller in.
        DagrunError: what it says is wrong.
    """
    address = client.server
    assert address is not None  # noqa: S101 — the caller has asked for that
    check_shown(address, client.token, tls=bool(client.tls_ca or client.tls_cert))
    factory = between_processes(load_with_warnings().registry, client.transport_type)
    transport = factory(
        token=client.token,
        tls_cert=client.tls_cert,
        tls_key=client.tls_key,
        tls_ca=client.tls_ca,
        connection_timeout=client.connection_timeout,
    )

    async def call() -> T:
        async with transport, transport.manage(address) as management:
            return await use(management)

    return run_async(call)

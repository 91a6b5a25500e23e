"""The transport ``grpc``: engines and orchestrators in several processes."""

from typing import Any

from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry
from dagrun.ports.transport import Transport


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put the transport on its shelf."""
    registry.transports.add("grpc", grpc)


def grpc(**options: Any) -> Transport:
    """Make the transport. Its libraries are imported only now.

    Takes what :class:`dagrun_grpc.aio.transport.GrpcTransport` takes.
    """
    from dagrun_grpc.aio.transport import GrpcTransport  # noqa: PLC0415 — heavy, see above

    return GrpcTransport(**options)

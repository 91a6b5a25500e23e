"""The transport ``json``, the discovery ``file`` and the subscriber ``file``."""

from typing import Any

from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry
from dagrun.ports.transport import Transport
from dagrun_engines.listed import FileDiscovery
from dagrun_engines.written import FileSubscriber


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put them on their shelves."""
    registry.transports.add("json", transport)
    registry.discoveries.add("file", FileDiscovery)
    registry.subscribers.add("file", FileSubscriber)


def transport(**options: Any) -> Transport:
    """Make the transport. What it needs is imported only now."""
    from dagrun_engines.transport import JsonTransport  # noqa: PLC0415 — most commands need none

    return JsonTransport(**options)

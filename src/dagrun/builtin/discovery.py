"""The ways to find engines that come with the core."""

import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import trio

from dagrun.errors import ConfigError
from dagrun.ports.discovery import Found

PORT: Final = 50051
"""Where an engine listens, unless something else is said."""

HOLDS: Final = 3
"""Intervals for which a registration holds."""

MOST: Final = 1000
"""Registrations at once. They may all be of nobody, and are dialled again and again."""

_log: Final = logging.getLogger(__name__)

Resolve = Callable[..., Awaitable[Sequence[tuple[Any, ...]]]]


class StaticDiscovery:
    """The engines of a list, for ever.

    Args:
        engines: their addresses, as ``host:port``.
    """

    settings: ClassVar[Mapping[str, str]] = {"engines": "engines"}

    def __init__(self, *, engines: Sequence[str] = ()) -> None:
        self._engines = engines

    async def run(
        self, found: Found, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell once."""
        task_status.started()
        found(self._engines)
        await trio.sleep_forever()


class RegisterDiscovery:
    """The engines that were registered not long ago.

    Args:
        interval: seconds; a registration holds for three of them.
    """

    settings: ClassVar[Mapping[str, str]] = {"interval": "engine_discovery_interval"}

    def __init__(self, *, interval: float = 30.0) -> None:
        self._holds = HOLDS * interval
        self._until: dict[str, float] = {}
        """Address → when its registration ends; the one that ends first comes first."""

        self._news = trio.Event()

    def register(self, address: str) -> None:
        """Know an engine from now on; see the port."""
        if address not in self._until and len(self._until) >= MOST:
            raise ConfigError(f"{MOST} engines are registered already")
        self._until.pop(address, None)
        self._until[address] = trio.current_time() + self._holds
        self._news.set()

    async def run(
        self, found: Found, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell whenever a registration comes or ends."""
        task_status.started()
        while True:
            self._news = trio.Event()
            now = trio.current_time()
            self._until = {address: end for address, end in self._until.items() if end > now}
            found(list(self._until))
            with trio.move_on_at(min(self._until.values(), default=float("inf"))):
                await self._news.wait()


class DnsDiscovery:
    """All addresses of a host's name, such as that of a headless service in Kubernetes.

    Args:
        service: the name, with or without ``:port`` behind it.
        interval: seconds from one look to the next.
        resolve: looks a name up, as :func:`trio.socket.getaddrinfo` does.
    """

    settings: ClassVar[Mapping[str, str]] = {
        "service": "k8s_service_name",
        "interval": "engine_discovery_interval",
    }

    def __init__(
        self,
        *,
        service: str,
        interval: float = 30.0,
        resolve: Resolve = trio.socket.getaddrinfo,
    ) -> None:
        self._host, _, port = service.partition(":")
        self._port = int(port or PORT)
        self._interval = interval
        self._resolve = resolve

    async def run(
        self, found: Found, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Look the name up again and again; see the port."""
        task_status.started()
        answers = True
        while True:
            next_look = trio.current_time() + self._interval
            try:
                found(await self._addresses())
                answers = True
            except OSError as error:
                if answers:
                    _log.warning("%s is not resolved: %s", self._host, error.strerror or error)
                answers = False
            await trio.sleep_until(next_look)

    async def _addresses(self) -> Sequence[str]:
        """Look the name up.

        Raises:
            OSError: it has no address, or nobody says so within an interval.
        """
        with trio.move_on_after(self._interval):
            answers = await self._resolve(self._host, self._port, type=socket.SOCK_STREAM)
            return sorted({_joined(host, port) for *_, (host, port, *_) in answers})
        raise OSError(f"no answer within {self._interval:g} s")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

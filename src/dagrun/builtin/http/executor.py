"""The executor. What it does is in ``client``, which loads the HTTP library."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, ClassVar

from dagrun.builtin.http.options import HttpOptions
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.workflow import Durability
from dagrun.ports.executor import Context

if TYPE_CHECKING:
    from dagrun.builtin.http.connect import Resolve


class HttpExecutor:
    """Sends a request and gives the answer. Enter it with ``async with``.

    Args:
        http_allow: hosts, addresses and networks that nodes may reach although they are not
            public; see :class:`~dagrun.domain.addresses.Allowed`.
        resolve: gives the addresses of a name; None asks the system.
    """

    options: ClassVar[type[HttpOptions]] = HttpOptions
    durability: ClassVar[Durability] = Durability.STRICT
    uses_process: ClassVar[bool] = False
    literal_options: ClassVar[frozenset[str]] = frozenset()
    secret_options: ClassVar[frozenset[str]] = frozenset(
        {"url", "params", "headers", "auth", "json", "body", "form"}
    )
    settings: ClassVar[tuple[str, ...]] = ("http_allow",)

    def __init__(self, *, http_allow: Iterable[str] = (), resolve: "Resolve | None" = None) -> None:
        self._http_allow = tuple(http_allow)
        self._resolve = resolve
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "HttpExecutor":
        from dagrun.builtin.http.client import Client  # noqa: PLC0415 — 60 ms on use only

        client = Client(self._http_allow, self._resolve)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def execute(self, context: Context) -> Raw:
        """Send the request, follow redirects, and give ``status``, ``headers`` and the body.

        Cancelling the call closes the connection.

        Raises:
            NodeError: ``status`` for one that is not expected; ``resolve``, ``refused_address``,
                ``connect``, ``connect_timeout``, ``tls``, ``idle_timeout``, ``protocol`` for what
                the network does; ``redirect``, ``too_large``, ``output``, ``request``, ``file``.
        """
        return await self._client.answer(context)

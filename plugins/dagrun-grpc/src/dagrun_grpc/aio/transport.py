"""The transport ``grpc``."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from dagrun.errors import ConfigError
from dagrun.ports.management import Management
from dagrun.ports.tokens import Gate
from dagrun.ports.transport import Channel, EngineOffered, Handler, Offered
from dagrun_grpc.aio.access import Accepts, AcceptsGate, metadata
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import (
    ATTACH,
    ENGINE_SERVICE,
    HEALTH_CHECK,
    SESSION,
    Answer,
    Call,
)
from dagrun_grpc.aio.dial import dialled
from dagrun_grpc.aio.serve import Listener, Listening
from dagrun_grpc.limits import Patience
from dagrun_grpc.tls import Files


class GrpcTransport:
    """What :class:`~dagrun.ports.transport.Transport` says, over gRPC.

    Args:
        address: where to listen: a host's name or address.
        port: where to listen; 0 for any that is free.
        token: what it shows when it dials; None for none.
        accepts: says whether a token, or None for none, may do what needs a role; None if there is
            nothing to ask for. A verified client certificate stands for the role ``engine``. Where an
            orchestrator offers something, its gate decides in place of this.
        tls_cert: this side's certificate, in PEM; None without TLS.
        tls_key: its key.
        tls_ca: who signs the certificates of others. With it, those who dial must have one.
        max_connections: most accepted connections. For one more, the stranger who came first is cut off;
            if there is none, it is closed at once.
        connection_timeout: seconds for connecting, and for the first call that is let in.
        patience: how long a connection may be silent; None for the usual, with the timeout above.

    Raises:
        ConfigError: a value is none, or a file cannot be used.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 50051,
        token: str | None = None,
        accepts: Accepts | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        tls_ca: Path | None = None,
        max_connections: int = 100,
        connection_timeout: float = 30.0,
        patience: Patience | None = None,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"{port} is no port; it is a number from 0 to 65535")
        if max_connections < 1 or connection_timeout <= 0:
            raise ConfigError("max_connections and connection_timeout are more than 0")
        self._where = (address, port)
        self._metadata = metadata(token)
        self._accepts = accepts
        self._files = Files(cert=tls_cert, key=tls_key, ca=tls_ca)
        self._dialling = self._files.for_client()
        self._max_connections = max_connections
        self._patience = patience or Patience(handshake=connection_timeout)
        self._bridge = Bridge()

    async def __aenter__(self) -> Self:
        await self._bridge.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._bridge.__aexit__(kind, error, traceback)

    def attach(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an engine to an orchestrator."""
        return self._dialled(address, ATTACH)

    def dial(self, address: str, *, trusted: bool = True) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an orchestrator to an engine.

        Whoever has a certificate of ``tls_ca`` may see the token in any case.
        """
        return self._dialled(address, SESSION, shows=trusted or self._files.ca is not None)

    @asynccontextmanager
    async def manage(self, address: str) -> AsyncIterator[Management]:
        """Reach what an orchestrator offers to clients."""
        from dagrun_grpc.aio.asking import Asking  # noqa: PLC0415 — for clients only
        from dagrun_grpc.aio.manage_client import ManagementClient  # noqa: PLC0415 — as above

        asking = Asking(
            *(self._bridge, address),
            context=self._dialling,
            metadata=self._metadata,
            patience=self._patience,
        )
        try:
            yield ManagementClient(asking)
        finally:
            await asking.close()

    async def serve_orchestrator(
        self,
        handler: Handler,
        *,
        offered: Offered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for engines until cancelled, and for clients."""
        calls: Sequence[Call] = (ATTACH,)
        answers: Mapping[str, Answer] = {}
        gate: Gate = AcceptsGate(self._accepts)
        if offered is not None:
            from dagrun_grpc.aio.offering import offering  # noqa: PLC0415 — for orchestrators only

            calls, answers, gate = offering(offered, self._patience.handshake)
        listener = Listener(self._bridge, self._listening(gate), ATTACH, calls, handler, answers)
        await listener.run(task_status=task_status)

    async def serve_engine(
        self,
        handler: Handler,
        *,
        offered: EngineOffered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for orchestrators until cancelled."""
        calls: Sequence[Call] = (SESSION, HEALTH_CHECK)
        answers: Mapping[str, Answer] = {}
        if offered is not None:
            from dagrun_grpc.aio.engine_serve import answers as of_engine  # noqa: PLC0415 — for engines only

            calls, answers = ENGINE_SERVICE, of_engine(offered, self._patience.handshake)
        listening = self._listening(AcceptsGate(self._accepts))
        listener = Listener(self._bridge, listening, SESSION, calls, handler, answers)
        await listener.run(task_status=task_status)

    def _dialled(
        self, address: str, call: Call, *, shows: bool = True
    ) -> AbstractAsyncContextManager[Channel]:
        return dialled(
            *(self._bridge, address, call),
            context=self._dialling,
            metadata=self._metadata if shows else {},
            patience=self._patience,
        )

    def _listening(self, gate: Gate) -> Listening:
        host, port = self._where
        return Listening(
            host=host,
            port=port,
            context=self._files.for_server(),
            gate=gate,
            max_connections=self._max_connections,
            patience=self._patience,
        )

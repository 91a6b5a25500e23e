"""A stream between an engine and an orchestrator, as trio tasks see it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio
from grpclib import GRPCError, Status
from grpclib.metadata import decode_grpc_message

from dagrun.errors import ChannelLost
from dagrun.ports.frames import Frame
from dagrun_grpc.aio.refusals import SHORT, status_of, status_told
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.codec import Kind, Malformed
from dagrun_grpc.parts import Joiner, messages


class GrpcChannel:
    """What :class:`~dagrun.ports.transport.Channel` says, over a call of gRPC."""

    def __init__(self, stream: GuardedStream, peer: str, out: Kind, into: Kind) -> None:
        self.stream = stream
        self.refusal: GRPCError | None = None
        """What the other side is told as the end: such as what is wrong with what it has sent."""

        self.left = asyncio.Event()
        """Set when whoever holds the conversation is through with it."""

        self._peer = peer
        self._out = out
        self._joiner = Joiner(into)

    @property
    def peer(self) -> str:
        """The other side's address."""
        return self._peer

    async def send(self, frames: Sequence[Frame]) -> None:
        """Send frames in one message, or in several if they are too long."""
        with self._unless_lost():
            for message in messages(frames, self._out):
                await self.stream.send(message)

    async def receive(self) -> Sequence[Frame]:
        """Wait for the frames of one message."""
        with self._unless_lost():
            while True:
                encoded = await self.stream.receive()
                if encoded is None:
                    self.stream.close("the other side has ended the stream")
                    raise ChannelLost("the other side has ended the stream")
                if frames := self._joiner.take(encoded):
                    return frames

    def decline(self, why: ChannelLost) -> None:
        """Have the other side told why the conversation ends, if the stream is still there."""
        if self.stream.lost is None and self.refusal is None:
            self.refusal = GRPCError(status_of(why), str(why)[:SHORT])

    def finish(self) -> None:
        """Say nothing more."""
        self.stream.close("the stream is closed on this side")
        self.left.set()

    @contextmanager
    def _unless_lost(self) -> Iterator[None]:
        """End the stream if it can no longer be told what was said and what was not."""
        try:
            yield
        except ChannelLost as error:
            reason = ended(self.stream) or str(error)
            self.stream.lose(reason)
            raise ChannelLost(f"{self._peer}: {reason}") from error
        except (GRPCError, Malformed) as error:
            self._refuse(error)
            raise ChannelLost(f"{self._peer} sent {self.stream.lost}") from error
        except trio.Cancelled:
            self.stream.lose("sending or receiving was cancelled")
            raise

    def _refuse(self, error: GRPCError | Malformed) -> None:
        if isinstance(error, Malformed):
            error = GRPCError(Status.INVALID_ARGUMENT, str(error))
        self.refusal = error
        self.stream.close(str(error.message))
        self.left.set()


def ended(stream: GuardedStream) -> str | None:
    """Say what the server gave as the reason of the end; None if it gave none."""
    for headers in (stream.trailers, stream.headers):
        told = dict(headers or ())
        status = told.get("grpc-status", "0")
        if status != "0":
            known = status_told(status)
            name = status if known is Status.UNKNOWN else known.name
            reason = decode_grpc_message(told.get("grpc-message", "no reason given"))
            return f"{name}: {reason}"
    return None

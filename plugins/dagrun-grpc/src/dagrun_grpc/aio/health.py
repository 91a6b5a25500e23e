"""Answers to those who ask whether somebody is there."""

import asyncio
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any

from grpclib import GRPCError, Status
from grpclib.server import Stream

from dagrun_grpc.aio.calls import CHECK, HEALTH_CHECK, WATCH, Answer
from dagrun_grpc.aio.requests import request_of
from dagrun_grpc.wire.dagrun import v1
from dagrun_grpc.wire.grpc.health import v1 as health

SERVING = health.HealthCheckResponseServingStatus.SERVING
UNKNOWN = health.HealthCheckResponseServingStatus.SERVICE_UNKNOWN


class Health:
    """Who can answer serves; all that is asked for is the name of the service."""

    def __init__(self, services: Collection[str], timeout: float) -> None:
        self._services = {"", *services}
        self._timeout = timeout

    def answers(self) -> Mapping[str, Answer]:
        """Give path → what answers."""
        return {CHECK.path: self._check, WATCH.path: self._watch, HEALTH_CHECK.path: self._engine}

    async def _check(self, stream: Stream[Any, Any]) -> None:
        asked: health.HealthCheckRequest = await request_of(stream, self._timeout)
        if asked.service not in self._services:
            raise GRPCError(Status.NOT_FOUND, f"there is no service {asked.service!r}")
        await stream.send_message(health.HealthCheckResponse(status=SERVING))

    async def _watch(self, stream: Stream[Any, Any]) -> None:
        asked: health.HealthCheckRequest = await request_of(stream, self._timeout)
        state = SERVING if asked.service in self._services else UNKNOWN
        await stream.send_message(health.HealthCheckResponse(status=state))
        await asyncio.get_running_loop().create_future()  # until the connection ends

    async def _engine(self, stream: Stream[Any, Any]) -> None:
        await request_of(stream, self._timeout)
        serving = v1.HealthCheckResponseStatus.SERVING
        await stream.send_message(
            v1.HealthCheckResponse(status=serving, release=version("dagrun-core"))
        )

"""What clients ask an orchestrator for, over gRPC."""

from contextlib import asynccontextmanager

from dagrun.testing.management import ManagementSuite
from dagrun_grpc import grpc


class TestManagementClient(ManagementSuite):
    def transport(self):
        return grpc(port=0)

    @asynccontextmanager
    async def client(self, world):
        async with grpc() as transport, transport.manage(world.address) as management:
            yield management

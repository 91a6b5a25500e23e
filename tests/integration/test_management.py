"""What clients ask an orchestrator for, in its own process."""

from contextlib import asynccontextmanager

from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.testing.management import ManagementSuite


class TestManagement(ManagementSuite):
    hub = Hub()

    def transport(self):
        return MemoryTransport(hub=self.hub)

    @asynccontextmanager
    async def client(self, world):
        yield world.leading.management

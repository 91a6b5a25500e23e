"""All that is asked of a server."""

from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.manage_client.engines import EnginesClient
from dagrun_grpc.aio.manage_client.events import EventsClient
from dagrun_grpc.aio.manage_client.runs import RunsClient
from dagrun_grpc.aio.manage_client.workflows import WorkflowsClient


class ManagementClient:
    """Implements :class:`~dagrun.ports.management.Management` for a server.

    Args:
        asking: makes the calls.
    """

    def __init__(self, asking: Asking) -> None:
        self.workflows = WorkflowsClient(asking)
        self.runs = RunsClient(asking)
        self.events = EventsClient(asking)
        self.engines = EnginesClient(asking)

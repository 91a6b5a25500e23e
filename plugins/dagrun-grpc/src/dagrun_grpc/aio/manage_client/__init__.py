"""What :class:`~dagrun.ports.management.Management` says, over gRPC.

There is a module for each kind of thing, as in the port.
"""

from dagrun_grpc.aio.manage_client.client import ManagementClient

__all__ = ["ManagementClient"]

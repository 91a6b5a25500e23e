"""What requests are made of."""

from collections.abc import Mapping
from typing import Any

from dagrun.roles.management.arguments import check_limit
from dagrun_grpc import manage_views as views


def object_bytes(value: Mapping[str, Any] | None, path: str) -> bytes:
    """Write an object of a user; nothing for None.

    Raises:
        InputError: JSON cannot hold it.
    """
    return views.json_bytes(None if value is None else dict(value), path)


def checked(limit: int) -> int:
    """Check a limit here: on the wire 0 is the usual one."""
    check_limit(limit)
    return limit

"""What answers a call."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from dagrun.ports.management import Management
from dagrun_grpc.aio.calls import Call

M = Management
"""It stands in the first line of each answer."""

Once = Mapping[Call, Callable[[M, Any], Awaitable[Any]]]
"""Call → what answers with one message."""

Streams = Mapping[Call, Callable[[M, Any], AbstractAsyncContextManager[AsyncIterator[Any]]]]
"""Call → what answers with many."""

"""How a ``workflow`` node gets its child run."""

from typing import Protocol

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw


@attrs.frozen(kw_only=True)
class ChildRequest:
    """What a node wants to be run. Asked for again in the same attempt, it is the same child."""

    parent: RunId
    epoch: int
    """Under which the parent is executed; another one is refused."""

    node_id: str
    item: int | None
    attempt: int
    workflow_id: str
    version: str | None
    """A range such as ``^1.2``, or a version; None for ``^`` of the current one."""

    inputs: Raw
    wait: bool = True
    """Whether the parent is told of the end."""


@attrs.frozen(kw_only=True)
class Child:
    """A run that was started for a node."""

    run_id: RunId
    version: str


class Children(Protocol):
    """Starts child runs, wherever there is room for them."""

    async def start(self, request: ChildRequest) -> Child:
        """Start a child, or give the one that was started before. It is durable then.

        Raises:
            NodeError: there is no such workflow or version, the inputs do not fit, the depth is
                beyond the limit, or the parent is being cancelled.
            ConflictError: the parent is somebody else's now.
        """
        ...

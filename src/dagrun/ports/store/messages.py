"""What is posted to runs, whoever executes them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import attrs

from dagrun.domain.ids import RunId


class MessageKind(StrEnum):
    """What is posted to a run."""

    CANCEL = "cancel"
    """``data``: ``reason``."""

    PAUSE = "pause"
    RESUME = "resume"
    CHILD_ENDED = "child_ended"
    """``data``: ``node_id``, ``item``, ``attempt``, ``run_id`` of the child, ``status``, and
    ``outputs`` (Raw) or ``error`` of its end."""


@attrs.frozen(kw_only=True)
class Message:
    """Something that was posted to a run, and waits until whoever executes the run takes it up."""

    number: int
    """Grows by one with each message of a run, from 1."""

    kind: MessageKind
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Posted:
    """A message, and to whom it was posted."""

    run_id: RunId
    message: Message


class Messages(Protocol):
    """Keeps what was posted until it is taken up."""

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> Sequence[Posted]:
        """Post something to a run; it is durable then. Give nothing if the run has ended.

        A request to cancel is posted to all its descendants that have not ended, too. One that is
        posted already is not posted again: it gives nothing, as for a run that is being cancelled,
        or ends already while its handlers run.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def messages(self, run_id: RunId) -> Sequence[Message]:
        """Give what was posted to a run and not taken up yet, in order."""
        ...

    async def messages_to_others(self, owner: str) -> Sequence[Posted]:
        """Give what was posted to runs of other owners and not taken up yet."""
        ...

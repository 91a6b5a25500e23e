"""What is posted to runs, numbered for each run, until somebody takes it up."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dagrun.domain.ids import RunId
from dagrun.ports.store import Message, MessageKind, Posted


class Boxes:
    """The messages of all runs."""

    def __init__(self) -> None:
        self._messages: dict[RunId, dict[int, Message]] = {}
        self._last: Counter[RunId] = Counter()
        """Number of the newest message of each run, also if it was taken up."""

    def put(self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any]) -> Posted:
        """Number something, and store it."""
        self._last[run_id] += 1
        message = Message(number=self._last[run_id], kind=kind, data=data)
        self.put_back(run_id, message)
        return Posted(run_id=run_id, message=message)

    def put_back(self, run_id: RunId, message: Message) -> None:
        """Store a message again that was taken up."""
        self._messages.setdefault(run_id, {})[message.number] = message

    def take(self, run_id: RunId, number: int) -> Message | None:
        """Delete a message, and give it if it was there."""
        return self._messages.get(run_id, {}).pop(number, None)

    def waiting(self, run_id: RunId) -> Sequence[Message]:
        """Give what was not taken up yet, in order."""
        return [message for _, message in sorted(self._messages.get(run_id, {}).items())]

    def newest(self, run_id: RunId) -> int:
        """Give the number of the last one that was not taken up yet; 0 without any."""
        return max(self._messages.get(run_id, ()), default=0)

    def cancel_waits(self, run_id: RunId) -> bool:
        """Whether a request to cancel was not taken up yet."""
        return any(message.kind is MessageKind.CANCEL for message in self.waiting(run_id))

    def discard(self, run_id: RunId) -> None:
        """Delete all messages of a run that has ended."""
        self._messages.pop(run_id, None)

    def forget(self, runs: Collection[RunId]) -> None:
        """Delete all that is known of runs that are gone."""
        for run_id in runs:
            self.discard(run_id)
            del self._last[run_id]

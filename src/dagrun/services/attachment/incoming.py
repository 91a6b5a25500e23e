"""Dispatches whose journals travel in parts."""

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.frames import Dispatch, JournalPart


class Incoming:
    """Puts together what belongs to one dispatch."""

    def __init__(self) -> None:
        self._begun: dict[RunId, tuple[Dispatch, list[Event]]] = {}

    def take(self, frame: Dispatch | JournalPart) -> tuple[Dispatch, list[Event]] | None:
        """Give a dispatch with the whole journal of its run, as soon as that is here.

        A part of what did not begin under its epoch, or was dropped, is left out.
        """
        if isinstance(frame, Dispatch):
            whole = (frame, list(frame.events))
            if frame.more:
                self._begun[frame.run_id] = whole
        else:
            begun = self._begun.get(frame.run_id)
            if begun is None or begun[0].epoch != frame.epoch:
                return None
            whole = begun
            whole[1].extend(frame.events)
            if not frame.more:
                del self._begun[frame.run_id]
        return None if frame.more else whole

    def epoch(self, run_id: RunId) -> int | None:
        """Give the epoch of a dispatch that has not come whole yet."""
        begun = self._begun.get(run_id)
        return None if begun is None else begun[0].epoch

    def drop(self, run_id: RunId) -> None:
        """Forget what has come so far of a run."""
        self._begun.pop(run_id, None)

    def clear(self) -> None:
        """Forget all that has come in part: the rest does not come on another stream."""
        self._begun.clear()

"""The runs that wait for an engine, and which one is next.

The order is: higher priority first; then runs that go on before fresh ones; then those of the
workflow with the fewest running runs; then the oldest. A run that cannot be placed now, because no
engine fits or its concurrency key has no free slot, delays no other, and is not looked at again
until that may have changed.

Every method takes time in proportion to the logarithm of the queued runs. Beside it,
:meth:`Queue.next` asks once for each set of needs whose first run comes before the one that is
chosen. A start or an end costs a step for each set of needs of the workflow's runs, and for each of
those that wait for the key.
"""

from collections.abc import Callable
from enum import StrEnum

from dagrun.domain.entry import Entry, Needs
from dagrun.domain.gates import Gate, Key, Platform
from dagrun.domain.ids import RunId
from dagrun.domain.lines import Flow, Hall, Waiter
from dagrun.domain.ranking import Ranking

__all__ = ["CanPlace", "Entry", "Needs", "Queue", "Why"]

CanPlace = Callable[[Needs], bool]
"""Whether an engine that has what is needed has a free slot now."""


class Why(StrEnum):
    """Why a run waits."""

    KEY = "key"
    """Its concurrency key has no free slot."""

    NEEDS = "needs"
    """No engine that has what it needs has a free slot."""

    TURN = "turn"
    """Other runs come first."""


class Queue:
    """Runs that wait, and what must be known of the others to say which one is next.

    A run is *admitted* from the moment it is taken out to be started until it has ended. All that
    time it holds a slot of its key, even while it is parked, paused or queued once more. So a run
    that an engine refused is simply pushed again. What a run's key, limit and slot are is decided
    once: all entries of one run say the same of them.
    """

    def __init__(self) -> None:
        self._waiting: dict[RunId, Waiter] = {}
        self._platforms: dict[Needs, Platform] = {}
        self._ranking: Ranking[Platform] = Ranking()
        self._flows: dict[str, Flow] = {}
        self._keys: dict[str, Key] = {}
        self._admitted: dict[RunId, Entry] = {}
        self._running: set[RunId] = set()

    def push(self, entry: Entry) -> None:
        """Let a run wait. One that waits already gets a new place; one that runs runs no longer."""
        self.remove(entry.run_id)
        self.parked(entry.run_id)
        if entry.key is not None:
            self._key(entry.key).share(entry)
        self._file(entry)

    def remove(self, run_id: RunId) -> Entry | None:
        """Take a run out of the queue. None if it was not there."""
        if run_id not in self._waiting:
            return None
        entry = self._unfile(run_id)
        if entry.key is not None:
            self._key(entry.key).unshare(entry)
            self._tidy_key(entry.key)
        return entry

    def next(self, can_place: CanPlace) -> Entry | None:
        """Take out the first run that can be placed, and admit it. None if there is none."""
        platform = self._first(can_place)
        waiter = None if platform is None else platform.front()
        if waiter is None:
            return None
        self.started(waiter.entry)
        return waiter.entry

    def started(self, entry: Entry) -> None:
        """Learn that a run is admitted and runs, such as one that ran before a restart.

        Nothing happens if it does already.
        """
        self._admitted[entry.run_id] = entry
        if entry.key is not None and self._key(entry.key).take(entry):
            self._slot_changed(entry.key, entry)
        self.remove(entry.run_id)
        if entry.run_id not in self._running:
            self._running.add(entry.run_id)
            self._flow(entry.workflow_id).count(1)

    def parked(self, run_id: RunId) -> None:
        """Learn that a run is not running, but has not ended. Nothing happens if it is not."""
        if run_id in self._running:
            self._running.remove(run_id)
            workflow_id = self._admitted[run_id].workflow_id
            self._flow(workflow_id).count(-1)
            self._tidy_flow(workflow_id)

    def ended(self, run_id: RunId) -> None:
        """Learn that a run has ended, wherever it was. Its slot is free, unless it is shared."""
        self.remove(run_id)
        self.parked(run_id)
        entry = self._admitted.pop(run_id, None)
        if entry is not None and entry.key is not None:
            if self._key(entry.key).give_back(entry):
                self._slot_changed(entry.key, entry)
            self._tidy_key(entry.key)

    def reason(self, run_id: RunId, can_place: CanPlace) -> Why | None:
        """Say why a run waits. None if it does not."""
        waiter = self._waiting.get(run_id)
        if waiter is None:
            return None
        hall = waiter.line.hall
        if isinstance(hall, Gate) and not hall.open:
            return Why.KEY
        return Why.TURN if can_place(hall.needs) else Why.NEEDS

    def holders(self, key: str) -> list[RunId]:
        """Give the runs that hold a slot of a key or share one, oldest first."""
        known = self._keys.get(key)
        return sorted(set().union(*known.holders.values())) if known else []

    def __contains__(self, run_id: RunId) -> bool:
        return run_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def _first(self, can_place: CanPlace) -> Platform | None:
        """Give the platform with the first run that can be placed."""
        refused = []
        try:
            while (platform := self._ranking.first()) is not None:
                if can_place(platform.needs):
                    break
                refused.append(platform)
                self._ranking.discard(platform)
        finally:
            for other in refused:
                other.changed()
        return platform

    def _file(self, entry: Entry) -> None:
        """Let a run wait where it belongs."""
        hall: Hall = self._platform(entry.needs)
        if entry.key is not None and entry.slot not in self._key(entry.key).holders:
            hall = self._key(entry.key).gate(self._platform(entry.needs), entry.limit)
        self._waiting[entry.run_id] = hall.add(entry, self._flow(entry.workflow_id))

    def _unfile(self, run_id: RunId) -> Entry:
        waiter = self._waiting.pop(run_id)
        hall, entry = waiter.line.hall, waiter.entry
        waiter.leave()
        if isinstance(hall, Gate) and not len(hall):
            hall.close_down()
        if self._platforms[entry.needs].deserted:
            del self._platforms[entry.needs]
        self._tidy_flow(entry.workflow_id)
        return entry

    def _slot_changed(self, name: str, by: Entry) -> None:
        """Open or shut the gates of a key; only who shares the slot needs no other one."""
        key = self._key(name)
        for gate in key.gates:
            gate.changed()
        for run_id in (by.slot, *key.sharing.get(by.slot, ())):
            if run_id != by.run_id and run_id in self._waiting:
                self._file(self._unfile(run_id))

    def _platform(self, needs: Needs) -> Platform:
        platform = self._platforms.get(needs)
        if platform is None:
            platform = self._platforms[needs] = Platform(needs, self._ranking)
        return platform

    def _key(self, name: str) -> Key:
        return self._keys.get(name) or self._keys.setdefault(name, Key())

    def _tidy_key(self, name: str) -> None:
        if self._keys[name].unused:
            del self._keys[name]

    def _flow(self, workflow_id: str) -> Flow:
        return self._flows.get(workflow_id) or self._flows.setdefault(workflow_id, Flow())

    def _tidy_flow(self, workflow_id: str) -> None:
        if self._flows[workflow_id].idle:
            del self._flows[workflow_id]

"""Where runs wait: at the gate of their concurrency key for a slot, on a platform for an engine."""

from typing import Final

from dagrun.domain.entry import Entry, Needs
from dagrun.domain.ids import RunId
from dagrun.domain.lines import Hall, Waiter
from dagrun.domain.ranking import Ranking

FEW: Final = 8
"""Workflows at one gate whose first runs are all let through while it is open."""


class Platform(Hall):
    """Runs that need the same of an engine, and nothing else any more.

    Args:
        needs: what they need.
        platforms: the ranking in which the platform stands where its first run does.
    """

    __slots__ = ("_platforms", "gates")

    def __init__(self, needs: Needs, platforms: "Ranking[Platform]") -> None:
        super().__init__(needs)
        self._platforms = platforms
        self.gates = 0
        """How many gates lead here."""

        self.start_moving()

    @property
    def deserted(self) -> bool:
        """Whether nobody waits here or at a gate that leads here."""
        return not len(self) and not self.gates

    def changed(self) -> None:
        """Move to where the first run says."""
        first = self.first()
        if first is None or first.place is None:
            self._platforms.discard(self)
        else:
            self._platforms.put(self, first.place)


class Gate(Hall):
    """Runs that need the same of an engine, and a slot of the same key.

    While there is a slot, the first run of each workflow waits on the platform, too, so that the
    order there says which one gets it. With many workflows that would make it slow to open and
    close the gate: then only the first run of all is let through, and the lines at the gate move
    with the number of running runs, which costs time whenever that number changes.

    Args:
        platform: where it leads.
        key: whose slots they need.
        limit: how many slots there are, as the runs at this gate see it.
    """

    __slots__ = ("_key", "_through", "limit", "platform")

    def __init__(self, platform: Platform, key: "Key", limit: int) -> None:
        super().__init__(platform.needs)
        self.platform = platform
        self.limit = limit
        self._key = key
        self._through: list[Waiter] = []
        platform.gates += 1
        key.gates.append(self)

    @property
    def open(self) -> bool:
        """Whether there is a slot."""
        return len(self._key.holders) < self.limit

    def changed(self) -> None:
        """Let through who is first now, and call back who is not any more."""
        if len(self) > FEW and not self.moving:
            self.start_moving()
        first = self._first() if self.open else []
        if first == self._through:
            return
        before, self._through = self._through, first
        for waiter in before:
            if waiter.through is not None and waiter not in first:
                waiter.through.leave()
                waiter.through = None
        for waiter in first:
            if waiter.through is None:
                waiter.through = self.platform.add(waiter.entry, waiter.line.flow)

    def close_down(self) -> None:
        """Take the gate away; nobody waits at it."""
        self.platform.gates -= 1
        self._key.gates.remove(self)

    def _first(self) -> list[Waiter]:
        lines = self if not self.moving else filter(None, [self.first()])
        return [waiter for line in lines if (waiter := line.first()) is not None]


class Key:
    """A concurrency key.

    A slot is held by a run, and shared by those of its descendants that have the same key. That it
    is taken is the fact that one of them was admitted and has not ended, never a counter.
    """

    __slots__ = ("gates", "holders", "sharing")

    def __init__(self) -> None:
        self.holders: dict[RunId, set[RunId]] = {}
        """Whose slots are taken → the admitted runs that hold or share it."""

        self.gates: list[Gate] = []
        self.sharing: dict[RunId, set[RunId]] = {}
        """Whose slot → queued runs that are to share it."""

    @property
    def unused(self) -> bool:
        """Whether no run holds a slot or waits for one."""
        return not (self.holders or self.gates or self.sharing)

    def gate(self, platform: Platform, limit: int) -> Gate:
        """Give the gate that leads to a platform."""
        for gate in self.gates:
            if gate.platform is platform and gate.limit == limit:
                return gate
        return Gate(platform, self, limit)

    def take(self, entry: Entry) -> bool:
        """Let a run hold its slot. Whether the slot was free before."""
        was_free = entry.slot not in self.holders
        self.holders.setdefault(entry.slot, set()).add(entry.run_id)
        return was_free

    def give_back(self, entry: Entry) -> bool:
        """Let a run hold its slot no longer. Whether the slot is free now."""
        holders = self.holders[entry.slot]
        holders.remove(entry.run_id)
        if not holders:
            del self.holders[entry.slot]
        return not holders

    def share(self, entry: Entry) -> None:
        """Remember a queued run that is to share the slot of another one."""
        if entry.slot != entry.run_id:
            self.sharing.setdefault(entry.slot, set()).add(entry.run_id)

    def unshare(self, entry: Entry) -> None:
        """Forget that the run is queued."""
        sharing = self.sharing.get(entry.slot)
        if sharing is not None:
            sharing.discard(entry.run_id)
            if not sharing:
                del self.sharing[entry.slot]

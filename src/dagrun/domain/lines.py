"""The order in which runs wait: priority, those that go on, fewest running, age.

How many runs of a workflow are running changes all the time, and with it the place of all its
waiting runs. So the runs of a workflow wait in lines of their own, and it is the lines that move.
"""

from abc import ABC, abstractmethod

from dagrun.domain.entry import Entry, Needs
from dagrun.domain.ranking import Ranked, Ranking


class Flow:
    """What the runs of one workflow do, whichever lines they wait in."""

    __slots__ = ("lines", "moving", "running")

    def __init__(self) -> None:
        self.running = 0
        """Runs that an engine executes."""

        self.lines = 0
        """Lines in which its runs wait."""

        self.moving: tuple[Line, ...] = ()
        """Those of them that have to move when :attr:`running` changes."""

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs or waits."""
        return not self.running and not self.lines

    def count(self, more: int) -> None:
        """Change the number of running runs, and move the lines."""
        self.running += more
        for line in self.moving:
            if line.place is not None:  # one that moved before may have emptied this one
                line.settle()


class Waiter(Ranked):
    """The place of one run in one line."""

    __slots__ = ("entry", "line", "through")

    def __init__(self, entry: Entry, line: "Line") -> None:
        super().__init__()
        self.entry = entry
        self.line = line
        self.through: Waiter | None = None
        """The run's other place, behind the gate at which it has this one."""

    def leave(self) -> None:
        """Give up the place."""
        self.line.discard(self)
        self.line.settle()


class Line(Ranking[Waiter]):
    """Runs of one workflow in one hall."""

    __slots__ = ("flow", "hall")

    def __init__(self, flow: Flow, hall: "Hall") -> None:
        super().__init__()
        self.flow = flow
        self.hall = hall

    def settle(self) -> None:
        """Move to where the first run and the number of running ones say; go when it is empty."""
        first = self.first()
        if first is None:
            self.hall.drop(self)
        else:
            priority, fresh, run_id = first.entry.place
            self.hall.put(self, (priority, fresh, self.flow.running, run_id))
        self.hall.changed()


class Hall(Ranking[Line], ABC):
    """Lines of different workflows, of which it matters only who is first.

    In a hall that is not *moving* the lines stand where they stood when something last happened in
    them. It should hold few.
    """

    __slots__ = ("_index", "needs")

    def __init__(self, needs: Needs) -> None:
        super().__init__()
        self.needs = needs
        self._index: dict[Flow, Line] | None = None

    @abstractmethod
    def changed(self) -> None:
        """Look who is first now."""

    @property
    def moving(self) -> bool:
        """Whether the lines move whenever the number of running runs changes."""
        return self._index is not None

    def start_moving(self) -> None:
        """From now on, let the lines move whenever the number of running runs changes."""
        self._index = {}
        for line in self:
            self._follow(line, self._index)
            line.settle()

    def add(self, entry: Entry, flow: Flow) -> Waiter:
        """Let a run wait here."""
        line = self._find(flow)
        if line is None:
            line = Line(flow, self)
            flow.lines += 1
            if self._index is not None:
                self._follow(line, self._index)
        waiter = Waiter(entry, line)
        line.put(waiter, entry.place)
        line.settle()
        return waiter

    def drop(self, line: Line) -> None:
        """Take an empty line away."""
        self.discard(line)
        line.flow.lines -= 1
        if self._index is not None:
            del self._index[line.flow]
            line.flow.moving = tuple(other for other in line.flow.moving if other is not line)

    def front(self) -> Waiter | None:
        """Give the run that comes before all others."""
        line = self.first()
        return None if line is None else line.first()

    def _find(self, flow: Flow) -> Line | None:
        if self._index is None:
            return next((line for line in self if line.flow is flow), None)
        return self._index.get(flow)

    @staticmethod
    def _follow(line: Line, index: dict[Flow, Line]) -> None:
        index[line.flow] = line
        line.flow.moving += (line,)

"""Which run goes to which engine, and when."""

from collections.abc import Sequence
from functools import partial

from dagrun.domain.entry import NOTHING, Needs
from dagrun.domain.ids import RunId
from dagrun.domain.queue import Queue, Why
from dagrun.domain.state import RunState
from dagrun.errors import DagrunError, RunHasEnded
from dagrun.ports.engine import EngineLink
from dagrun.ports.patience import patiently
from dagrun.ports.store import Message, Slot
from dagrun.services.dispatcher.admission import Admission
from dagrun.services.dispatcher.place import Place
from dagrun.services.dispatcher.places import Places
from dagrun.services.dispatcher.runs import Runs
from dagrun.services.dispatcher.tasks import Tasks
from dagrun.services.dispatcher.ticket import Rest, Ticket


class Placing:
    """The runs of this process, and where each is.

    A run is in the queue, asks for its slot, is on its way, is with an engine, or is in none of
    these: then it is paused, parked, or just being changed. One that got its slot waits in the queue for an
    engine, where its turn is.

    Args:
        runs: what is stored of runs.
        places: the engines.
        tasks: in which runs are read, and wait for slots.
    """

    def __init__(self, *, runs: Runs, places: Places, tasks: Tasks) -> None:
        self._runs = runs
        self._places = places
        self._tasks = tasks
        self._queue = Queue()
        self.paused = False
        """Whether no run is given to an engine, whatever room there is, but those that end."""

        self._tickets: dict[RunId, Ticket] = {}
        self._hasty: dict[Needs, dict[RunId, Ticket]] = {}
        """Runs in the queue that end, by what they need: they wait for an engine, and not for room."""

        self._admission = Admission(
            runs=runs, tasks=tasks, answered=self._admitted, turned_down=self.place
        )

    @property
    def queued(self) -> int:
        """How many runs wait for a slot or an engine."""
        return len(self._queue) + len(self._admission)

    def ticket(self, run_id: RunId) -> Ticket | None:
        """Give a run that has not ended."""
        return self._tickets.get(run_id)

    def adopt(self, ticket: Ticket) -> None:
        """Know a run. It waits for nothing yet."""
        self._tickets[ticket.run_id] = ticket

    def lose(self, ticket: Ticket, why: str | None = None) -> None:
        """Have no more to do with a run: it has ended, or was abandoned."""
        ticket.abandoned, ticket.gone = why, True
        self._tickets.pop(ticket.run_id, None)
        self._hurry_no_more(ticket)
        self._queue.ended(ticket.run_id)
        if ticket.slot is not None:
            self._admission.free(ticket.slot.key)
        ticket.silence()
        ticket.leave()

    def close(self) -> None:
        """Let those go on who wait for the end of a run: it will not come."""
        for ticket in self._tickets.values():
            ticket.leave()

    def enqueue(self, ticket: Ticket) -> None:
        """Let a run wait for its slot and an engine. Does not block.

        If there is room it need not wait for an engine: whatever lets a run go is followed by
        :meth:`place`, so nobody in the queue could go before it. One that ends needs neither room
        nor a slot.
        """
        if ticket.ending:
            self._queue.push(ticket.entry())
            self._hasty.setdefault(ticket.needs, {})[ticket.run_id] = ticket
            self._hasten()
            return
        slot = _slot_to_ask_for(ticket)
        if slot is None and self.may_place(ticket.needs):
            self._queue.started(ticket.entry())
            self._give(ticket)
            return
        ticket.ready = None
        if slot is not None and ticket.cancels_oldest:
            self._admission.ask(ticket, slot)  # others are to go, whether there is room or not
        else:
            self._queue.push(ticket.entry())
            self.place()

    def may_place(self, needs: Needs = NOTHING) -> bool:
        """Whether an engine has room, also if those get a place that ask for their slot for it."""
        return (
            not self.paused
            and self._places.have_room(needs)
            and self._tasks.open
            and (not (asking := self._admission.unanswered) or asking < self._places.free())
        )

    def place(self) -> None:
        """Give runs to engines, as long as there is a run and an engine with room."""
        self._hasten()
        while self.may_place():
            entry = self._queue.next(self._places.have_room)
            if entry is None:
                return
            ticket = self._tickets[entry.run_id]
            slot = _slot_to_ask_for(ticket)
            if slot is None:
                self._give(ticket)
            else:
                self._admission.ask(ticket, slot)

    def _hasten(self) -> None:
        """Give runs that end to engines, as long as there is one that can see to them."""
        for needs, waiting in list(self._hasty.items()):
            while waiting and self._tasks.open and (place := self._places.least_busy(needs)):
                ticket = next(iter(waiting.values()))
                self._queue.started(ticket.entry())
                self._bring(ticket, place)

    def _hurry_no_more(self, ticket: Ticket) -> None:
        waiting = self._hasty.get(ticket.needs, {})
        waiting.pop(ticket.run_id, None)
        if not waiting:
            self._hasty.pop(ticket.needs, None)

    def _admitted(self, ticket: Ticket, problem: DagrunError | None) -> None:
        """Let a run that has its slot wait for an engine; forget one that will never have it."""
        if problem is None:
            self.enqueue(ticket)
        else:
            self.lose(ticket, str(problem))
            self.place()

    def _give(self, ticket: Ticket) -> None:
        """Give a run to an engine; one that is not in memory is read first."""
        wanted = ticket.workflow.placement.balancer
        self._bring(ticket, self._places.choose(ticket.key or ticket.run_id, wanted, ticket.needs))

    def _bring(self, ticket: Ticket, place: Place) -> None:
        self._hurry_no_more(ticket)
        self._places.take(place, ticket.run_id, ticket.needs)
        ticket.due = None
        if ticket.make is not None:
            self._execute(ticket, place, ticket.made(), ticket.epoch)
        elif self._tasks.start(self._read_and_execute, ticket, place):
            ticket.set_off()

    async def _read_and_execute(self, ticket: Ticket, place: Place) -> None:
        try:
            state, epoch, messages = await patiently(partial(self._runs.claim, ticket.run_id))
        except DagrunError as error:  # somebody else's now, or damaged: the others go on
            self._places.give_back(place.engine, ticket.run_id)
            self.lose(ticket, None if isinstance(error, RunHasEnded) else str(error))
            self.place()
        else:
            self._execute(ticket, place, state, epoch, messages)
        ticket.arrive()

    def _execute(
        self,
        ticket: Ticket,
        place: Place,
        state: RunState,
        epoch: int,
        messages: Sequence[Message] = (),
    ) -> None:
        lost, ticket.lost = ticket.lost, False
        ticket.engine, ticket.rest, ticket.fresh = place.engine, None, False
        ticket.make = ticket.ready = None
        ticket.state = state
        told = ticket.take_posted(messages)
        if place.engine.execute(state, epoch=epoch, messages=told, lost=lost) is None:
            ticket.state = None  # it is folded elsewhere

    def assume(self, ticket: Ticket, engine: EngineLink) -> None:
        """Know that an engine has a run, as it was before a restart."""
        self.adopt(ticket)
        self._places.assume(engine, ticket.run_id, ticket.needs)
        ticket.engine, ticket.fresh, ticket.make = engine, False, None
        self._queue.started(ticket.entry())

    def ended(self, ticket: Ticket) -> None:
        """Hear that a run has ended that an engine elsewhere has, or had until just now.

        Whoever has it in hand finds out.
        """
        if ticket.engine is None and ticket.in_hand:
            return
        self.take_out(ticket)
        self._leave_engine(ticket)
        self.lose(ticket)
        self.place()

    def rests(self, ticket: Ticket, rest: Rest) -> None:
        """Hear that an engine has given a run back that waits for something."""
        self._leave_engine(ticket)
        ticket.rest = rest
        self._queue.parked(ticket.run_id)
        self.place()

    def take_back(self, ticket: Ticket, *, lost: bool) -> None:
        """Let a run wait for an engine once more, under the next epoch."""
        self._leave_engine(ticket)
        ticket.lost = lost
        self._queue.parked(ticket.run_id)
        self.enqueue(ticket)
        self.place()

    def abandoned(self, ticket: Ticket, why: str) -> None:
        """Hear that a run is somebody else's now."""
        self._leave_engine(ticket)
        self.lose(ticket, why)
        self.place()

    def _leave_engine(self, ticket: Ticket) -> None:
        if ticket.engine is not None:
            self._places.give_back(ticket.engine, ticket.run_id)
            ticket.engine = None
        ticket.state = None

    def take_out(self, ticket: Ticket) -> bool:
        """Let a run wait no more. Give False if it does not."""
        self._hurry_no_more(ticket)
        if self._admission.withdraw(ticket.run_id):
            self._queue.ended(ticket.run_id)  # so others with its key may ask
            self.place()
            return True
        return self._queue.remove(ticket.run_id) is not None

    def left(self, ticket: Ticket, state: RunState, abandoned: str | None) -> None:
        """Hear that the engine of a run has no more to do with it."""
        if ticket.engine is None:
            return
        self._places.give_back(ticket.engine, ticket.run_id)
        ticket.engine = None
        if abandoned is not None or state.ended:
            self.lose(ticket, abandoned)
        else:
            self._queue.parked(ticket.run_id)
        self.place()

    def explain(self, ticket: Ticket) -> str | None:
        """Say what a run waits for; None when it is with an engine, or just being changed.

        What a parked run waits for is in its journal.
        """
        if ticket.engine is not None or ticket.in_hand:
            return None
        why = self._queue.reason(ticket.run_id, self._places.have_room)
        if ticket.slot is not None and (why is Why.KEY or ticket.run_id in self._admission):
            return f"it waits for a slot of {ticket.slot.key!r}, of which there are {ticket.slot.limit}"
        match why:
            case None if ticket.parked:
                return None
            case None:
                return "it waits until it is resumed"
            case _ if self.paused and not ticket.ending:
                return "it waits until dispatch goes on: it is paused (DAGRUN_PAUSED)"
            case Why.TURN:
                return "it waits for its turn: other runs come first"
            case _:
                return f"it waits for an engine: {self._places.hindrances(ticket.needs)}"


def _slot_to_ask_for(ticket: Ticket) -> Slot | None:
    """Give the slot that a run must still be given; None if it needs none, or has it."""
    return None if ticket.admitted or ticket.ending else ticket.slot

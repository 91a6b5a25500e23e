"""The queue gives the same runs, in the same order, as sorting all of them each time would."""

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrun.domain.ids import RunId
from dagrun.domain.queue import Entry, Needs, Queue, Why

KINDS = [Needs(), Needs(labels=frozenset({("gpu", "yes")})), Needs(executors=frozenset({"lua"}))]
WORKFLOWS = [f"workflow-{number}" for number in range(12)]  # more than a gate has few of


class Model:
    """The same by looking at every run each time."""

    def __init__(self):
        self.queued = {}
        self.admitted = {}
        self.running = set()

    def push(self, entry):
        self.queued[entry.run_id] = entry
        self.running.discard(entry.run_id)

    def remove(self, run_id):
        return self.queued.pop(run_id, None)

    def started(self, entry):
        self.queued.pop(entry.run_id, None)
        self.admitted[entry.run_id] = entry
        self.running.add(entry.run_id)

    def parked(self, run_id):
        self.running.discard(run_id)

    def ended(self, run_id):
        self.queued.pop(run_id, None)
        self.admitted.pop(run_id, None)
        self.running.discard(run_id)

    def slots(self, key):
        return {entry.slot for entry in self.admitted.values() if entry.key == key}

    def holders(self, key):
        return sorted(run for run, entry in self.admitted.items() if entry.key == key)

    def has_slot(self, entry):
        slots = self.slots(entry.key)
        return entry.key is None or entry.slot in slots or len(slots) < entry.limit

    def order(self, entry):
        ours = (self.admitted[run].workflow_id == entry.workflow_id for run in self.running)
        return -entry.priority, entry.fresh, sum(ours), entry.run_id

    def next(self, can_place):
        found = [e for e in self.queued.values() if self.has_slot(e) and can_place(e.needs)]
        if not found:
            return None
        best = min(found, key=self.order)
        self.started(best)
        return best

    def reason(self, run_id, can_place):
        entry = self.queued.get(run_id)
        if entry is None:
            return None
        if not self.has_slot(entry):
            return Why.KEY
        return Why.TURN if can_place(entry.needs) else Why.NEEDS


@st.composite
def runs(draw, keys, workflows, kinds=KINDS, limits=(1, 2, 3), least=1):
    """Some runs; all that is told of one again and again is the same, but for its place."""
    count = draw(st.integers(least, 24))
    ids = [RunId(f"run-{number:02}") for number in range(count)]
    return [
        Entry(
            run_id=run_id,
            workflow_id=draw(st.sampled_from(workflows)),
            needs=draw(st.sampled_from(kinds)),
            key=draw(st.sampled_from(keys)),
            limit=draw(st.sampled_from(limits)),
            slot=draw(st.sampled_from([run_id, run_id, *ids[:3]])),
        )
        for run_id in ids
    ]


STEPS = ("push", "push", "push", "next", "next", "remove", "started", "parked", "ended", "ended")
steps = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(0, 23),
        st.integers(-1, 1),
        st.booleans(),
        st.sets(st.sampled_from(KINDS)),
    ),
    max_size=80,
)


def take(step, known, queues):
    """Do the same to all, and give what they answered."""
    what, number, priority, fresh, free = step
    entry = attrs.evolve(known[number % len(known)], priority=priority, fresh=fresh)
    arguments = {"push": entry, "started": entry, "next": free.__contains__}
    return [getattr(queue, what)(arguments.get(what, entry.run_id)) for queue in queues]


def picture(queue, known, free):
    return (
        [queue.reason(entry.run_id, free.__contains__) for entry in known],
        [queue.holders(entry.key or "") for entry in known],
    )


def compare(known, taken):
    queue, model = Queue(), Model()
    for step in taken:
        ours, theirs = take(step, known, (queue, model))
        assert ours == theirs
        assert picture(queue, known, step[-1]) == picture(model, known, step[-1])
        assert len(queue) == len(model.queued)
        assert all(line.place for flow in queue._flows.values() for line in flow.moving)
        assert all((entry.run_id in queue) == (entry.run_id in model.queued) for entry in known)
    while (ours := queue.next(lambda _: True)) is not None:
        assert ours == model.next(lambda _: True)
    assert model.next(lambda _: True) is None
    return queue


def holds_nothing(queue):
    return not any(
        (queue._waiting, queue._platforms, len(queue._ranking), queue._flows, queue._keys)
    ) and not (queue._admitted or queue._running)


@settings(max_examples=400, deadline=None)
@given(runs([None, "", "k"], WORKFLOWS[:3]), steps)
def test_any_history_gives_the_runs_that_sorting_all_of_them_would_give(known, taken):
    queue = compare(known, taken)
    for entry in known:
        queue.ended(entry.run_id)
    assert holds_nothing(queue)


@settings(max_examples=300, deadline=None)
@given(runs(["k", "k", "k", None], WORKFLOWS, KINDS[:1], (2,), least=16), steps, st.data())
def test_the_same_holds_for_many_workflows_that_share_a_key(known, taken, data):
    """There are so many at its gate that it lets through one at a time."""
    before = data.draw(st.integers(0, len(taken)))
    every = [("push", number, 0, True, set()) for number in range(len(known))]
    queue = compare(known, [*taken[:before], *every, *taken[before:]])
    for entry in known:
        queue.ended(entry.run_id)
    assert holds_nothing(queue)

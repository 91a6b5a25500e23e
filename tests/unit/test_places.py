from types import SimpleNamespace

import attrs

from dagrun.domain.entry import NOTHING, Needs
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.state import RunState
from dagrun.ports.engine import IS_DRAINING, Offers
from dagrun.services.dispatcher.place import Place
from dagrun.services.dispatcher.places import Places
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.ticket import Ticket
from dagrun.testing.drive import make_node, make_plan

PLAN = make_plan(make_node("a"))
LUA = Needs(executors=frozenset({"lua"}))
GPU = Needs(labels=frozenset({("gpu", "yes")}))
BOTH = Needs(executors=LUA.executors, labels=GPU.labels)


class Engine:
    """Is full from the beginning, and takes what it is given at once."""

    ready, capacity = True, 0

    def __init__(self, name, *executors, **labels):
        self.name, self.runs = name, []
        self.offers = Offers(executors=frozenset(executors), labels=labels)

    def execute(self, state, *, epoch, messages=(), lost=False):
        self.runs.append(state.run_id)


def places(*engines):
    found = Places(lambda _name: None)
    for engine in engines:
        found.add(engine)
    return found


def least_busy(where, needs):
    return where.least_busy(needs).engine.name


def test_what_waits_for_no_room_goes_to_an_engine_that_has_what_it_needs():
    where = places(Engine("a", "shell"), Engine("b", "shell", "lua"), Engine("c", gpu="yes"))
    assert least_busy(where, NOTHING) == "a"
    assert least_busy(where, LUA) == "b"
    assert least_busy(where, GPU) == "c"


def test_what_waits_for_no_room_goes_where_its_executors_are_though_no_engine_has_its_labels():
    assert least_busy(places(Engine("a", "shell"), Engine("b", "lua")), BOTH) == "b"
    assert places(Engine("a", "shell")).least_busy(BOTH) is None
    assert places().least_busy(BOTH) is None


def test_what_only_ends_waits_for_an_engine_with_its_executors():
    shell = Engine("shell", "shell")
    placing = Placing(runs=None, places=places(shell), tasks=SimpleNamespace(open=True, start=None))
    ends = ticket_of("w", "1", needs=LUA)
    ends.ending = True
    placing.adopt(ends)
    placing.enqueue(ends)
    assert (shell.runs, placing.queued) == ([], 1)
    lua = Engine("lua", "lua")
    placing._places.add(lua)
    placing.place()
    assert (lua.runs, placing.queued) == (["1"], 0)


def test_what_no_engine_has_is_said_of_the_nearest_first():
    needs = attrs.evolve(BOTH, resources=frozenset({("cores", 2.0)}))
    far, near, other = Engine("far", "shell"), Engine("near", "lua", gpu="yes"), Engine("b", "lua")
    where = places(far, near, other, *map(Engine, "cdef"))
    all_of_it = "executor lua, label gpu=yes, resource cores=2"
    assert where.hindrances(needs) == (
        "near lacks resource cores=2; b lacks label gpu=yes, resource cores=2; "
        f"c lacks {all_of_it}; d lacks {all_of_it}; e lacks {all_of_it}; and 2 more"
    )


def drained(name, *executors, **labels):
    engine = Engine(name, *executors, **labels)
    engine.ready, engine.unready = False, IS_DRAINING
    return engine


def filled(where, engine, runs):
    engine.capacity = runs
    for number in range(runs):
        where.assume(engine, RunId(f"{engine.name}-{number}"), NOTHING)


def test_of_engines_that_drain_and_others_that_are_full_each_has_its_own_reason():
    full = Engine("e2")
    where = places(drained("e1"), full, drained("e3"))
    filled(where, full, 4)
    assert where.hindrances(NOTHING) == (
        "e1 is draining; e3 is draining; e2 has 4 of 4 runs; "
        "let e1 take runs again with: dagrun engines undrain e1"
    )


def test_an_engine_that_drains_and_has_the_label_is_named_before_those_without_it():
    where = places(Engine("e2"), drained("e3"), drained("e4", gpu="yes"))
    assert where.hindrances(GPU) == (
        "e4 is draining; e2 lacks label gpu=yes; e3 lacks label gpu=yes; "
        "let e4 take runs again with: dagrun engines undrain e4"
    )


def test_no_engine_is_to_take_runs_again_that_would_not_be_given_the_run():
    where = places(drained("e1"), Engine("e2", gpu="yes"))
    assert where.hindrances(GPU) == "e2 has 0 of 0 runs; e1 lacks label gpu=yes"


def needing(**resources):
    return Needs(resources=frozenset(resources.items()))


def having(**resources):
    engine = Engine("a")
    engine.capacity, engine.offers = 10, Offers(executors=frozenset(), resources=resources)
    where = places(engine)
    return where, where.choose("key", None)


def test_as_many_runs_fit_as_the_resources_that_are_written_add_up_to():
    where, place = having(gpu=1.2)
    third = needing(gpu=0.4)
    for run in "123":
        assert where.have_room(third)
        where.take(place, RunId(run), third)
    assert not where.have_room(third)


def test_an_engine_that_gets_all_back_has_all_that_it_had():
    where, place = having(cpu=1)
    for turn in range(50):
        for number in range(9):
            where.take(place, RunId(str(number)), needing(cpu=(number + 1) / 10))
        for number in range(9):
            where.give_back(place.engine, RunId(str((number + turn) % 9)))
    assert where.have_room(needing(cpu=1))


def ticket_of(workflow_id, run_id, **fields):
    plan = attrs.evolve(PLAN, workflow=attrs.evolve(PLAN.workflow, id=workflow_id))
    state = RunState(plan, RunId(run_id), EMPTY)
    return Ticket(run_id=state.run_id, workflow=plan.workflow, make=lambda: state, **fields)


def test_each_engine_is_looked_at_once_for_all_that_hundreds_of_runs_need(monkeypatch):
    looks = []
    has = Place.has
    monkeypatch.setattr(Place, "has", lambda place, needs: looks.append(needs) or has(place, needs))
    engine = Engine("a")
    engine.capacity = 10
    where = places(engine, Engine("b"))
    tenants = [Needs(labels=frozenset({("tenant", str(n))})) for n in range(300)]
    for number in range(5):
        assert not any(map(where.have_room, tenants))
        where.take(where.choose("key", None), RunId(str(number)))
    assert len(looks) == 2 * (len(tenants) + 1)


def test_an_engine_that_comes_back_with_other_labels_is_given_other_runs():
    engine = Engine("a", zone="x")
    engine.capacity = 10
    where = places(engine)
    zones = [Needs(labels=frozenset({("zone", name)})) for name in "xy"]
    assert list(map(where.have_room, zones)) == [True, False]
    engine.offers = Offers(executors=frozenset(), labels={"zone": "y"})
    where.update(engine)
    assert list(map(where.have_room, zones)) == [False, True]
    where.remove(engine)
    assert list(map(where.have_room, zones)) == [False, False]
    where.add(engine)
    assert list(map(where.have_room, zones)) == [False, True]


def test_it_is_told_what_about_the_engines_keeps_a_run_waiting():
    placing = Placing(runs=None, places=places(), tasks=SimpleNamespace(open=True, start=None))
    waiting = ticket_of("w", "waits", needs=needing(gpu=2))
    placing.adopt(waiting)
    placing.enqueue(waiting)
    small, large = Engine("small"), Engine("large")
    small.capacity, large.capacity = 5, 2
    large.offers = Offers(executors=frozenset(), resources={"gpu": 2})
    told = [placing.explain(waiting)]
    placing._places.add(small)
    told.append(placing.explain(waiting))
    large.ready, large.unready = False, "is not connected"
    placing._places.add(large)
    told.append(placing.explain(waiting))
    large.ready = True
    for number in "12":
        placing._places.assume(large, RunId(number), needing(gpu=1))
        told.append(placing.explain(waiting))
    small_lacks = "small lacks resource gpu=2"
    assert told == [
        "it waits for an engine: none is attached",
        f"it waits for an engine: {small_lacks}",
        f"it waits for an engine: large is not connected; {small_lacks}",
        f"it waits for an engine: large has too little free of resource gpu=2; {small_lacks}",
        f"it waits for an engine: large has 2 of 2 runs; {small_lacks}",
    ]


def test_what_goes_to_an_engine_only_to_end_counts_among_the_runs_of_its_workflow():
    engine = Engine("a")
    engine.capacity = 2
    placing = Placing(
        runs=None, places=places(engine), tasks=SimpleNamespace(open=True, start=None)
    )
    placing.paused = True
    at_once, *waiting = [ticket_of("w", "1"), ticket_of("w", "2"), ticket_of("v", "3")]
    for ticket in waiting:
        placing.adopt(ticket)
        placing.enqueue(ticket)
    placing.adopt(at_once)
    at_once.ending = True
    placing.enqueue(at_once)
    placing.paused = False
    placing.place()
    assert engine.runs == ["1", "3"]

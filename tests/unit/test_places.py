from types import SimpleNamespace

import attrs

from dagrun.domain.entry import NOTHING, Needs
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.state import RunState
from dagrun.ports.engine import Offers
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


def test_what_waits_for_no_room_goes_somewhere_though_no_engine_has_what_it_needs():
    assert least_busy(places(Engine("a", "shell"), Engine("b", "lua")), BOTH) == "a"
    assert places().least_busy(BOTH) is None


def test_why_no_engine_gets_a_run_is_said_of_the_one_first_that_lacks_least():
    needs = attrs.evolve(BOTH, resources=frozenset({("cores", 2.0)}))
    far, near, full, away = (
        Engine("far", "shell", gpu="no"),
        Engine("near", "lua", gpu="yes"),
        Engine("full", "lua", gpu="yes"),
        Engine("away", "lua", gpu="yes"),
    )
    for engine in (full, away):
        engine.offers = attrs.evolve(engine.offers, resources={"cores": 2.0})
    away.ready = False
    where = places(far, near, full, away)
    assert where.obstacles(needs) == (
        "full has as many runs as it may (0); away takes no runs now; near lacks resource cores=2; "
        "and 1 more"
    )
    assert places(far).obstacles(needs) == (
        "far lacks executor lua, label gpu=yes, resource cores=2"
    )
    full.capacity = 2
    where.take(where.least_busy(needs), RunId("r"), needs)
    assert where.obstacles(needs).startswith(
        "full has too little left beside its runs of resource cores=2; "
    )
    assert places().obstacles(needs) == "none is attached"


def ticket_of(workflow_id, run_id, **fields):
    plan = attrs.evolve(PLAN, workflow=attrs.evolve(PLAN.workflow, id=workflow_id))
    state = RunState(plan, RunId(run_id), EMPTY)
    return Ticket(run_id=state.run_id, workflow=plan.workflow, make=lambda: state, **fields)


def test_what_goes_to_an_engine_at_once_counts_among_the_runs_of_its_workflow():
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
    placing.give_at_once(at_once, at_once.made(), 1, ())
    placing.paused = False
    placing.place()
    assert engine.runs == ["1", "3"]

"""That an engine was lost is told to the next one that really has the run, or counted for poison."""

import pytest

from dagrun.domain.ids import RunId
from dagrun.ports.frames import GivenBack, Hello, Why
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.reconciler import Reconciler
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.returns import Returns

RUN = RunId("r")
HELLO = Hello(engine_id="e", instance="i", release="0", capacity=1)
REFUSED = GivenBack(run_id=RUN, epoch=2, why=Why.UNUSABLE, seen=0, detail="no such executor")


class Placer:
    """Notes which runs go on elsewhere, and whether their engine was lost."""

    def __init__(self):
        self.taken = []

    def engine_changed(self, engine):
        pass

    def take_back(self, run_id, *, lost):
        self.taken.append((run_id, lost))


class Journal:
    def forget(self, run_id):
        pass


class Roster:
    def changed(self, engine):
        pass


def given(engine, placer, lost):
    """Give an engine a run of which the one before was lost, or was not."""
    assignments = Assignments(journal=Journal(), placer=placer)
    assignments.begin(engine, Assigned(RUN, 2, 0.0, lost=lost))
    return assignments


def refuse(engine, assignments):
    returns = Returns(
        journal=Journal(), placer=None, roster=Roster(), assignments=assignments, spawn=None
    )
    returns.given_back(engine, REFUSED)


def come_without(engine, assignments):
    reconciler = Reconciler(
        lease=1.0,
        store=None,
        journal=Journal(),
        assignments=assignments,
        spawn=None,
    )
    reconciler.reconcile(engine, HELLO, Outbox())


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("happens", [refuse, come_without])
async def test_a_loss_is_not_forgotten_by_an_engine_that_never_had_the_run(happens, lost):
    engine, placer = RemoteEngine(HELLO, None, None), Placer()
    happens(engine, given(engine, placer, lost))
    assert placer.taken == [(RUN, lost)]

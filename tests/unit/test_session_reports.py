import pytest

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.ports.frames import Hello, Report
from dagrun.ports.store import Taken
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.session import Session
from dagrun.testing.journals import event


class Journal:
    """Notes what is appended at once."""

    def __init__(self):
        self.portions = []
        self.hurried = 0

    def append(self, events, taken=()):
        self.portions.append(([(one.run_id, one.seq) for one in events], list(taken)))

    def hurry(self):
        self.hurried += 1


def talking():
    engine = RemoteEngine(Hello(engine_id="e", instance="i", release="", capacity=1), None, None)
    for run_id in ("a", "b"):
        engine.runs[RunId(run_id)] = Assigned(RunId(run_id), 1, 0.0)
    journal = Journal()
    session = Session(
        None,
        engine,
        journal=journal,
        roster=None,
        assignments=None,
        returns=None,
        child_starts=None,
        log_came=None,
    )
    return session, engine, journal


async def test_what_a_message_brought_about_is_stored_together_with_its_taking_up():
    session, engine, journal = talking()
    events = tuple(
        event(seq, Type.NODE_RUNNING, run_id) for run_id, seq in (("a", 2), ("b", 2), ("a", 3))
    )
    session._report(Report(events=events, taken=(("a", 1, 7), ("b", 2, 1))))
    assert journal.portions == [
        ([("a", 2), ("a", 3)], [Taken(run_id=RunId("a"), epoch=1, number=7)]),
        ([("b", 2)], []),
    ]
    assert engine.unacknowledged == {"a": (1, 3), "b": (1, 2)}


@pytest.mark.parametrize(
    ("kind", "awaited", "hurried"),
    [(Type.NODE_RUNNING, False, 0), (Type.NODE_RUNNING, True, 1), (Type.RUN_SUCCEEDED, False, 1)],
)
async def test_what_an_engine_or_a_client_waits_for_is_stored_at_once(kind, awaited, hurried):
    session, _, journal = talking()
    session._report(Report(events=(event(2, kind, "a"),), awaited=awaited))
    assert journal.hurried == hurried

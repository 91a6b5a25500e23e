"""Each kind of fault changes something that can be seen of a run."""

import pytest

from dagrun.domain.events import Type
from dagrun.services.fleet.session import Session
from dagrun.testing.simulation import Fault, FaultKind, Script, simulate
from dagrun.testing.simulation.faults import Ask
from dagrun.testing.simulation.machines import BEGIN
from dagrun.testing.simulation.workload import number_of

pytestmark = pytest.mark.usefixtures("untraced")

ASK = Ask(1.0, number_of("long"))
ARRIVING = 1.0005  # seconds; the run is on its way to the engine then
FELT = {
    FaultKind.KILL: (Fault(2.0, FaultKind.KILL, 0, 0.5), "epochs", 1),
    FaultKind.VANISH: (Fault(2.0, FaultKind.VANISH, 0, 0.5), "epochs", 1),
    FaultKind.FREEZE: (Fault(2.0, FaultKind.FREEZE, 0, 5.0), "epochs", 1),
    FaultKind.CUT: (Fault(ARRIVING, FaultKind.CUT, 0, 0.0), "begin", 0.02),
    FaultKind.STALL: (Fault(2.0, FaultKind.STALL, 0, 5.0), "epochs", 1),
    FaultKind.DEAF: (Fault(0.9, FaultKind.DEAF, 0, 2.0), "begin", 1.8),
    FaultKind.DUMB: (Fault(2.0, FaultKind.DUMB, 0, 5.0), "epochs", 1),
    FaultKind.SLOW: (Fault(0.9, FaultKind.SLOW, 0, 2.0), "begin", 0.4),
    FaultKind.TWICE: (Fault(0.9, FaultKind.TWICE, 0, 9.0), "reports", 3),
    FaultKind.FULL: (Fault(0.9, FaultKind.FULL, 0, 2.0), "begin", 1.8),
    FaultKind.BUSY: (Fault(0.9, FaultKind.BUSY, 0, 2.0), "begin", 1.8),
    FaultKind.CLOCK: (Fault(0.9, FaultKind.CLOCK, 0, 7.0), "begin", 7.0),
}
"""Kind → a fault, what is more with it than without, and by how much at least."""


@pytest.fixture
def seen(monkeypatch):
    """Play a run of one engine, and give what can be seen of it."""
    report = Session._report

    def see(*faults):
        reports = []

        def heard(self, frame):
            reports.extend(frame.events)
            report(self, frame)

        monkeypatch.setattr(Session, "_report", heard)
        history = simulate(Script(engines=1, runs=(ASK,), faults=faults))
        assert history.problems == []
        (journal,) = history.journals.values()
        first = next(event for event in journal if event.type is Type.RUN_RUNNING)
        begin = (first.time - BEGIN).total_seconds()
        return {"epochs": history.epochs, "begin": begin, "reports": len(reports)}

    return see


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_is_felt(seen, kind):
    fault, what, more = FELT[kind]
    assert fault.kind is kind
    assert seen(fault)[what] >= seen()[what] + more

"""What is asked of runs while the engine that had them cannot be reached."""

import pytest

from dagrun.domain.events import Type
from dagrun.testing.simulation import Fault, FaultKind, Script, simulate
from dagrun.testing.simulation.faults import ActionKind, Ask
from dagrun.testing.simulation.workload import number_of

pytestmark = pytest.mark.usefixtures("untraced")

UNHEARD = Fault(0.9, FaultKind.DUMB, 0, 7.5)
RESTART = Fault(6.9, FaultKind.KILL, -1, 0.3)


@pytest.mark.parametrize("workflow", ["chain", "items", "parent"])
def test_an_engine_adds_nothing_to_a_run_that_was_paused_without_it(workflow):
    """It comes back to another orchestrator, which knows it as the one that had the run."""
    paused = Ask(1.0, number_of(workflow), ActionKind.PAUSE, 5.0)
    history = simulate(Script(engines=1, runs=(paused,), faults=(UNHEARD, RESTART)))
    assert history.problems == []
    epochs = [
        event.epoch
        for journal in history.journals.values()
        for event in journal
        if event.type is Type.RUN_PAUSED
    ]
    assert epochs == [2]

"""Processes that stand still, and go on when their lease is nearly, or quite, over."""

from collections import Counter

import pytest

from dagrun.domain.events import Type
from dagrun.testing.simulation import Fault, FaultKind, Script, simulate
from dagrun.testing.simulation.faults import ActionKind, Ask
from dagrun.testing.simulation.workload import number_of

pytestmark = pytest.mark.usefixtures("untraced")

PARENT, ABOVE = number_of("parent"), number_of("above")
ONCE, DIAMOND, LONG = number_of("once"), number_of("diamond"), number_of("long")


def played(*scripts):
    """Play scripts, in each of which nothing may be wrong."""
    for script in scripts:
        history = simulate(script)
        assert history.problems == []
        yield history


def most_starts(history):
    """Say how often that node was started that was started most often."""
    return max(Counter(tuple(line.split()[:3]) for line in starts(history)).values())


def starts(history):
    return [line for line in history.lines if line.endswith("start")]


def beginnings(history):
    """Give how runs came to their engines, later ones than the first."""
    events = [event for journal in history.journals.values() for event in journal]
    return [e.data for e in events if e.type is Type.RUN_RUNNING and e.epoch > 1]


def test_a_node_that_the_guard_killed_is_made_again_though_its_engine_was_heard_in_time():
    """The answer to a heartbeat lay unread while the guard thought the lease was over."""
    for history in played(
        *(
            Script(
                seed=number,
                engines=1,
                runs=(Ask(0.0, LONG),),
                faults=(
                    Fault(1.5, FaultKind.SLOW, 0, 9.0),
                    Fault(2.6 + number / 200, FaultKind.FREEZE, 0, 1.7),
                ),
            )
            for number in range(40)
        )
    ):
        assert most_starts(history) == 2
        assert not any("lost" in data for data in beginnings(history))


def test_an_engine_that_stood_still_starts_no_node_that_is_somebody_elses_by_now():
    """What it was waiting for had become durable in the meantime."""
    for history in played(
        *(
            Script(
                seed=number,
                capacity=3,
                runs=(Ask(1.705, ABOVE), Ask(2.004, ABOVE)),
                faults=(Fault(2.0 + number / 500, FaultKind.FREEZE, 0, 3.116),),
            )
            for number in range(60)
        )
    ):
        assert any("lost" in data for data in beginnings(history))


def test_a_request_to_cancel_outlives_the_last_engine_going_while_it_is_carried_out():
    (history,) = played(
        Script(
            seed=3950,
            runs=(
                Ask(0.934, PARENT, None, 1.478),
                Ask(1.408, ONCE, None, 0.846),
                Ask(1.428, DIAMOND, ActionKind.PAUSE, 1.921),
                Ask(3.882, ABOVE, ActionKind.CANCEL, 2.476),
            ),
            faults=(
                Fault(1.998, FaultKind.STALL, 2, 7.69),
                Fault(2.957, FaultKind.DUMB, -1, 6.249),
                Fault(4.763, FaultKind.FREEZE, -1, 3.752),
                Fault(0.953, FaultKind.CLOCK, 2, 0.254),
            ),
        )
    )
    cancelling = [
        [event.epoch for event in journal if event.type is Type.RUN_CANCELLING]
        for journal in history.journals.values()
    ]
    assert max(map(len, cancelling)) == 2  # the second time on an engine that came

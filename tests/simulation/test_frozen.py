"""Processes that stand still, and go on when their lease is nearly, or quite, over."""

import pytest

from dagrun.testing.simulation import Fault, FaultKind, Script, simulate
from dagrun.testing.simulation.faults import ActionKind, Ask

pytestmark = pytest.mark.usefixtures("untraced")

ABOVE, LONG = 7, 8


def _problems(*scripts):
    return [problem for script in scripts for problem in simulate(script).problems]


def test_a_node_that_the_guard_killed_is_made_again_though_its_engine_was_heard_in_time():
    """The answer to a heartbeat lay unread while the guard thought the lease was over."""
    assert not _problems(
        *(
            Script(
                seed=number,
                engines=1,
                runs=(Ask(0.0, LONG),),
                faults=(
                    Fault(0.0, FaultKind.SLOW, 0, 9.0),
                    Fault(2.6 + number / 200, FaultKind.FREEZE, 0, 1.7),
                ),
            )
            for number in range(40)
        )
    )


def test_an_engine_that_stood_still_starts_no_node_that_is_somebody_elses_by_now():
    """What it was waiting for had become durable in the meantime."""
    assert not _problems(
        *(
            Script(
                seed=number,
                capacity=3,
                runs=(Ask(1.705, ABOVE), Ask(2.004, ABOVE)),
                faults=(Fault(2.0 + number / 500, FaultKind.FREEZE, 0, 3.116),),
            )
            for number in range(60)
        )
    )


def test_a_request_to_cancel_outlives_the_last_engine_going_while_it_is_carried_out():
    assert not _problems(
        Script(
            seed=3950,
            runs=(
                Ask(0.934, 258, None, 1.478),
                Ask(1.408, 797, None, 0.846),
                Ask(1.428, 766, ActionKind.PAUSE, 1.921),
                Ask(3.882, 862, ActionKind.CANCEL, 2.476),
            ),
            faults=(
                Fault(1.998, FaultKind.STALL, 2, 7.69),
                Fault(2.957, FaultKind.DUMB, -1, 6.249),
                Fault(4.763, FaultKind.FREEZE, -1, 3.752),
                Fault(0.953, FaultKind.CLOCK, 2, 0.254),
            ),
        )
    )

"""A process of dagrun is killed at each point where it meets others: nothing is lost or done twice."""

import signal
from collections import Counter
from functools import partial

import pytest
import trio

from dagrun.testing.failpoints import COMMITS, Killer
from dagrun.testing.monkey import Troop
from dagrun.testing.monkey.workflows import few_documents

LIMIT = 30.0  # seconds in which a point is passed while runs come in all along
ORCHESTRATOR = (
    ("sending-Dispatch", 2),
    ("sent-Dispatch", 2),
    ("received-Report", 3),
    *((f"received-Report>{point}", 3) for point in COMMITS),
    ("sending-Durable", 4),
    ("sent-Durable", 4),
)
ENGINE = (
    ("received-Dispatch", 2),
    ("sending-Report", 3),
    ("sent-Report", 3),
    ("received-Durable", 3),
)
REST = {
    "orchestrator": (
        ("sending-Welcome", 1),
        ("sending-ChildStarted", 1),
        ("received-GivenBack", 1),
    ),
    "engine": (("sending-StartChild", 1), ("received-ChildStarted", 1), ("sent-GivenBack", 1)),
}
"""Points at which they are killed, too, when there is time for all."""


@pytest.fixture
def rest(request):
    return REST if request.config.getoption("--full") else {"orchestrator": (), "engine": ()}


@pytest.fixture
def gang(tmp_path):
    return partial(Troop, tmp_path, engines=2, pause=0.5, make_documents=few_documents)


async def kill_at_all(troop, name, points):
    """Kill a process at one point after the other, and let all runs end."""
    for point in points:
        await troop.kill(name)
        await troop.start(name, failpoint=point)
        with trio.fail_after(LIMIT):
            assert await troop.wait(name) == -signal.SIGKILL, point
    await troop.settle()


@pytest.mark.timeout(300)
async def test_an_orchestrator_that_is_killed_anywhere_loses_no_run_and_repeats_no_node(gang, rest):
    async with gang(lease=20.0).open() as troop:  # none ends, so that no engine is lost
        await kill_at_all(troop, "orchestrator", (*ORCHESTRATOR, *rest["orchestrator"]))
    assert await troop.judge() == []
    done = Counter(tuple(line.split()[:3]) for line in troop.lines() if line.endswith("start"))
    assert set(done.values()) == {1}
    assert troop.statistics()["runs"] >= len(ORCHESTRATOR) / 2  # a busy machine accepts fewer


@pytest.mark.timeout(300)
async def test_an_engine_that_is_killed_anywhere_loses_no_run_and_repeats_no_journaled_node(
    gang, rest
):
    async with gang(lease=2.0).open() as troop:
        await kill_at_all(troop, "e0", (*ENGINE, *rest["engine"]))
    assert await troop.judge() == []
    assert troop.leftovers() == []
    assert troop.statistics()["runs"] >= len(ENGINE)


def test_a_failpoint_that_is_none_is_refused():
    with pytest.raises(ValueError, match="known: begun, "):
        Killer("begun>sending-Nonsense", 1)

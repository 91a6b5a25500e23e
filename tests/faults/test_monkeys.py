"""Real processes are killed, frozen, cut off and started again while runs come in all along."""

import re

import pytest

from dagrun.testing.monkey import Monkey, Troop

pytestmark = pytest.mark.timeout(600)

SEED = 2  # does all that it can within fifteen seconds
TO_PROCESSES = {"_kill e", "_kill orchestrator", "_freeze e", "_freeze orchestrator"}
TO_THE_NETWORK = {"_cut e", "_nip e", "_stall e", "_delay e"}


@pytest.mark.parametrize(
    ("proxies", "kinds"),
    [(False, TO_PROCESSES), (True, TO_THE_NETWORK)],
    ids=["processes", "network"],
)
async def test_every_accepted_run_ends_right_whatever_a_monkey_does(
    tmp_path, monkey_seconds, proxies, kinds
):
    async with Troop(tmp_path, proxies=proxies).open() as troop:
        monkey = Monkey(troop, seed=SEED)
        await monkey.rage(monkey_seconds)
        await troop.settle()
    assert await troop.judge() == []
    assert troop.leftovers() == []
    assert len(monkey.deeds) >= monkey_seconds / 3 - 1
    assert {re.sub(r"\d$", "", deed) for deed in monkey.deeds} == kinds
    assert troop.statistics()["runs"] >= monkey_seconds / 2


async def test_a_process_that_ends_by_itself_is_a_problem(tmp_path):
    async with Troop(tmp_path, engines=1).open() as troop:
        process = troop.members["e0"].process
        process.terminate()
        await process.wait()
        await troop.settle()
    assert await troop.judge() == ["e0 ended by itself: 0"]

"""Real processes are killed, frozen, cut off and started again while runs come in all along."""

import pytest

from dagrun.testing.monkey import Monkey, Troop

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("proxies", [False, True], ids=["processes", "network"])
async def test_every_accepted_run_ends_right_whatever_a_monkey_does(
    tmp_path, monkey_seconds, proxies
):
    async with Troop(tmp_path, proxies=proxies).open() as troop:
        monkey = Monkey(troop, seed=1)
        await monkey.rage(monkey_seconds)
        await troop.settle()
    assert await troop.judge() == []
    assert troop.leftovers() == []
    assert len(monkey.deeds) >= monkey_seconds / 3 - 1
    assert troop.statistics()["runs"] >= monkey_seconds / 2

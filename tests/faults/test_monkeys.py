"""Real processes are killed, frozen, cut off and started again while runs come in all along."""

import pytest
import trio

from dagrun.testing.monkey import Monkey, Troop
from dagrun.testing.programs import LIMIT

pytestmark = pytest.mark.timeout(600)

SEED = 3  # does all that it can within fifteen seconds
TO_PROCESSES = {"kill engine", "kill orchestrator", "freeze engine", "freeze orchestrator"}
TO_THE_NETWORK = {"cut engine", "nip engine", "stall engine", "delay engine"}


@pytest.mark.parametrize(
    ("proxies", "kinds"),
    [(False, TO_PROCESSES), (True, TO_PROCESSES | TO_THE_NETWORK)],
    ids=["processes", "processes and network"],
)
async def test_every_accepted_run_ends_right_whatever_a_monkey_does(
    tmp_path, monkey_seconds, proxies, kinds
):
    async with Troop(tmp_path, proxies=proxies).open() as troop:
        deeds = await Monkey(troop, seed=SEED).rage(monkey_seconds)
        await troop.settle()
    assert await troop.judge() == []
    assert troop.leftovers() == []
    assert {deed.kind for deed in deeds} == kinds
    assert troop.statistics()["runs"] >= monkey_seconds / 2


async def test_a_process_that_ends_by_itself_is_a_problem(tmp_path):
    async with Troop(tmp_path, engines=1).open() as troop:
        with trio.fail_after(LIMIT):
            while not troop.lines():  # noqa: ASYNC110 — its nodes tell that it is there
                await trio.sleep(0.05)
        process = troop.members["e0"].process
        process.terminate()
        await process.wait()
        await troop.settle()
    assert await troop.judge() == ["e0 ended by itself: 0"]

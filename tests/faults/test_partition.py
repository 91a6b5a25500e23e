"""An engine behind a network that loses, delays and cuts what is said."""

import random

import pytest
import trio

from dagrun.domain.workflow import Node, Workflow
from dagrun.testing.elsewhere import until
from dagrun.testing.proxy import PIECE, Proxy

LEASE = 1.5  # seconds
SLACK = 10.0  # seconds that a busy machine may take; simulations know the exact time
CUTS = 6
WELL = {"piece": PIECE, "latency": 0.0, "left": None}


def make(proxy, **how):
    for name, value in {**WELL, **how}.items():
        setattr(proxy, name, value)


def chain(it, length, **fields):
    first = it.node("n0", **fields)
    rest = [it.node(f"n{number}", f"n{number - 1}", **fields) for number in range(1, length)]
    return Workflow("chain", "1.0.0", nodes=[first, *rest])


def epochs(it):
    return [int(line.split()[4]) for line in it.witness]


@pytest.mark.parametrize("how", ["nothing", "a byte a second"])
async def test_a_partition_ends_a_lease_in_time_and_what_was_done_behind_it_is_refused(
    opened, nursery, how
):
    async with opened(lease=LEASE) as it:
        proxy = await nursery.start(Proxy(it.port).run)
        it.engine("e1", address=proxy.address)
        it.engine("e2")
        await it.attached("e1", "e2")
        it.leading.fleet.drain("e2", on=True)
        workflow = chain(it, 16, seconds=0.2, durability="batched")
        run_id = await it.submit(workflow)
        await until(lambda: len(it.witness) >= 4)
        it.leading.fleet.drain("e2", on=False)
        began = trio.current_time()
        if how == "nothing":
            proxy.stall()
        else:
            make(proxy, piece=1, latency=1.0)
        before = len(it.witness)
        await until(lambda: 2 in epochs(it))
        assert LEASE * 0.6 <= trio.current_time() - began <= LEASE * 1.2 + SLACK
        went_on = len([epoch for epoch in epochs(it) if epoch == 1]) - before
        assert went_on > 0  # there is something to be refused
        proxy.resume()
        make(proxy)
        assert (await it.result(run_id)).status == "succeeded"
        await it.attached("e1", "e2")
        assert await it.problems(workflow, run_id) == []
        assert {event.epoch for event in await it.journal(run_id)} == {1, 2}


async def test_a_connection_that_is_cut_in_the_middle_of_frames_costs_no_run_its_engine(
    opened, nursery, tmp_path
):
    draw = random.Random(7)
    async with opened(lease=10.0) as it:
        proxy = await nursery.start(Proxy(it.port).run)
        it.engine("e1", address=proxy.address)
        await it.attached("e1")
        items = it.node("each", for_each=list(range(30)), max_parallel=2, seconds=0.1)
        wait = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
        last = Node("last", dependencies=["each"], executor={"type": "shell", "command": wait})
        workflow = Workflow("items", "1.0.0", nodes=[items, last])
        run_id = await it.submit(workflow)
        await until(lambda: it.witness)  # it has arrived
        for _ in range(CUTS):
            proxy.left = draw.randint(1, 700)
            await until(lambda: not proxy.left)
            proxy.left = None
            await trio.sleep(0.3)
        (tmp_path / "go").touch()
        assert (await it.result(run_id)).status == "succeeded"
        assert await it.problems(workflow, run_id) == []
        assert len(it.witness) == 2 * 30
        assert set(epochs(it)) == {1}


async def test_half_a_second_of_latency_costs_no_run_its_engine(opened, nursery):
    async with opened(lease=6.0) as it:
        proxy = await nursery.start(Proxy(it.port).run)
        make(proxy, latency=0.5)
        it.engine("e1", address=proxy.address)
        await it.attached("e1")
        workflow = chain(it, 1)
        run_id = await it.submit(workflow)
        assert (await it.result(run_id)).status == "succeeded"
        assert await it.problems(workflow, run_id) == []
        assert epochs(it) == [1] * 2


async def test_who_comes_with_a_byte_a_second_is_cut_off_harms_nobody_and_may_come_again(
    opened, nursery
):
    async with opened(connection_timeout=0.5) as it:
        proxy = await nursery.start(Proxy(it.port).run)
        make(proxy, piece=1, latency=1.0)
        # It would wait longer than this test, so it comes again only when it was cut off.
        it.engine("slow", "--connection-timeout", 60, address=proxy.address)
        it.engine("e1")
        await it.attached("e1")
        workflow = chain(it, 3)
        runs = [await it.submit(workflow) for _ in range(3)]
        for run_id in runs:
            assert (await it.result(run_id)).status == "succeeded"
        assert await it.problems(workflow, *runs) == []
        await until(lambda: proxy.connections > 1)
        await it.attached("e1")
        make(proxy)
        await it.attached("e1", "slow")

"""The engine: what stops a run or holds it up, and how it goes on. Time is virtual."""

from datetime import timedelta

import pytest
import trio

from dagrun.domain.events import Type
from dagrun.domain.workflow import RetryPolicy
from dagrun.errors import ConflictError
from dagrun.ports.store import Refusal
from dagrun.testing.scripted import node, now, open_rig


async def test_cancelling_stops_what_runs_after_the_request_is_durable(rig, autojump_clock):
    execution = rig.start(node("a", does={"sleep": 99}), node("b", "a"))
    await trio.sleep(1)
    assert await rig.engine.cancel("r")
    assert Type.RUN_CANCELLING in [event.type for event in rig.store.events]
    await execution.done.wait()
    assert execution.state.status == "cancelled"
    assert rig.types("a") == ["node.running", "node.cancelled"]
    assert rig.executor.now == 0
    assert trio.current_time() < 2
    assert not await rig.engine.cancel("r")


async def test_a_run_that_takes_too_long_is_stopped_and_failed(rig, autojump_clock):
    state = await rig.run(node("a", does={"sleep": 99}), timeout=20.0)
    assert state.status == "failed"
    assert state.error["type"] == "timeout"
    assert trio.current_time() == pytest.approx(20, abs=0.1)


async def test_paused_time_does_not_count_for_the_timeout(rig, autojump_clock):
    execution = rig.start(
        node("a", does={"sleep": 10}), node("b", "a", does={"sleep": 5}), timeout=20.0
    )
    await trio.sleep(5)
    assert await rig.engine.pause("r")
    await trio.sleep(100)
    assert rig.executor.seen == ["+a/1", "-a"]
    assert await rig.engine.resume("r")
    await execution.done.wait()
    assert execution.state.status == "succeeded"
    assert not await rig.engine.pause("r")


@pytest.mark.parametrize("step", [3600, -3600])
async def test_a_clock_that_is_set_changes_no_timeout_of_a_run_that_goes_on(
    rig, autojump_clock, monkeypatch, step
):
    execution = rig.start(node("a", does={"sleep": 999}), timeout=60.0)
    await trio.sleep(5)
    monkeypatch.setattr(rig.engine, "_now", lambda: now() + timedelta(seconds=step))
    for _ in range(2):  # 10 s of them paused
        assert await rig.engine.pause("r")
        await trio.sleep(5)
        assert await rig.engine.resume("r")
    await execution.done.wait()
    assert execution.state.error["type"] == "timeout"
    assert trio.current_time() == pytest.approx(70, abs=0.1)


async def test_a_run_that_is_taken_up_while_it_is_paused_has_the_time_that_was_left(
    tmp_path, autojump_clock
):
    async with open_rig(tmp_path) as first:
        first.start(node("a", does={"sleep": 999}), timeout=60.0)
        await trio.sleep(20)
        await first.engine.pause("r")
    async with open_rig(tmp_path) as second:
        again = second.start(
            node("a", does={"sleep": 999}), timeout=60.0, events=first.store.events
        )
        await trio.sleep(100)
        assert await second.engine.resume("r")
        await again.done.wait()
    assert again.state.error["type"] == "timeout"
    assert trio.current_time() == pytest.approx(160, abs=0.1)


async def test_a_shutdown_journals_nothing_and_the_run_goes_on_from_its_journal(
    tmp_path, autojump_clock
):
    nodes = (node("a", does={"give": {}}), node("b", "a", does={"sleep": 5}), node("c", "b"))
    async with open_rig(tmp_path) as rig:
        rig.start(*nodes)
        await trio.sleep(1)
    assert [str(e.type) for e in rig.store.events][-1] == "node.running"
    events = rig.store.events
    async with open_rig(tmp_path) as second:
        state = await second.run(*nodes, events=events)
    assert state.status == "succeeded"
    assert second.executor.seen == ["+b/1", "-b", "+c/1", "-c"]
    assert second.store.events[0].epoch == 2


async def test_a_delay_goes_on_after_a_restart_with_what_is_left_of_it(tmp_path, autojump_clock):
    policy = RetryPolicy(max_attempts=2, first_delay=60, jitter=0)
    nodes = (node("a", does={"until": 2}, retry=policy),)
    async with open_rig(tmp_path) as rig:
        rig.start(*nodes)
        await trio.sleep(20)
    async with open_rig(tmp_path) as second:
        await second.run(*nodes, events=rig.store.events)
    assert trio.current_time() == pytest.approx(60, abs=0.1)


async def test_an_abandoned_run_is_stopped_and_nothing_more_is_journaled(rig, autojump_clock):
    execution = rig.start(node("a", does={"sleep": 1}), node("b", "a"))
    rig.store.refuse = {"r": Refusal.STALE_EPOCH}
    await execution.done.wait()
    assert execution.abandoned == "stale_epoch"
    rig.store.events.clear()
    await trio.sleep(10)
    assert rig.store.events == []
    assert rig.executor.now == 0


async def test_an_attempt_that_fails_while_it_is_stopped_harms_nobody(rig, autojump_clock):
    execution = rig.start(node("a", does={"spoil": "mess"}))
    await trio.sleep(1)
    assert await rig.engine.cancel("r")
    await execution.done.wait()
    assert execution.state.status == "cancelled"
    assert execution.state.nodes[0].error == {"type": "mess", "message": "while it was stopped"}
    assert (await rig.run(node("b"), run="r2")).status == "succeeded"


async def test_an_attempt_that_fails_at_its_timeout_fails_only_itself(rig, autojump_clock):
    state = await rig.run(node("a", does={"spoil": "mess"}, timeout=1), node("b"))
    assert state.nodes[0].error["type"] == "mess"
    assert state.nodes[1].status == "succeeded"


async def test_what_fails_because_of_a_shutdown_is_not_journaled(tmp_path, autojump_clock):
    async with open_rig(tmp_path) as rig:
        execution = rig.start(node("a", does={"spoil": "mess"}))
        await trio.sleep(1)
    assert rig.executor.now == 0
    assert execution.state.nodes[0].status == "running"
    assert rig.types("a") == ["node.running"]


async def test_a_cancellation_takes_effect_even_if_nobody_waits_for_it(rig, autojump_clock):
    execution = rig.start(node("a", does={"sleep": 60}))
    await trio.sleep(1)
    with trio.move_on_after(0):
        await rig.engine.cancel("r")
    await execution.done.wait()
    assert execution.state.status == "cancelled"
    assert trio.current_time() < 2


async def test_asking_for_a_change_of_a_run_that_is_lost_gives_an_error(rig, autojump_clock):
    for change in (rig.engine.cancel, rig.engine.pause):
        rig.store.refuse = {}
        execution = rig.start(node("a", does={"sleep": 60}))
        await trio.sleep(1)
        rig.store.refuse = {"r": Refusal.STALE_EPOCH}
        with pytest.raises(ConflictError, match="taken over"):
            await change("r")
        assert execution.abandoned
    rig.store.refuse = {}
    execution = rig.start(node("a", does={"sleep": 60}))
    await trio.sleep(1)
    assert await rig.engine.pause("r")
    rig.store.refuse = {"r": Refusal.STALE_EPOCH}
    with pytest.raises(ConflictError, match="taken over"):
        await rig.engine.resume("r")

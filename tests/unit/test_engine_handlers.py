"""The engine: handlers, which run when the outcome of their run is durable. Time is virtual."""

import pytest
import trio

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode
from dagrun.domain.plan import Handling
from dagrun.domain.result import run_result
from dagrun.domain.workflow import ExecutorSpec, Handler, RetryPolicy
from dagrun.errors import NodeError
from dagrun.testing.scripted import node, open_rig


class Listener:
    """Notes how runs stood when their engine had no more to do with them."""

    def __init__(self, seen):
        self.seen = seen

    def left(self, state, _abandoned):
        self.seen.append(str(state.status))


def handlers(timeout=None, **does):
    return {
        event: Handler(executor=ExecutorSpec(type="x", options=options), timeout=timeout)
        for event, options in does.items()
    }


async def test_a_handler_starts_when_the_outcome_is_durable_and_before_the_end_is(
    rig, autojump_clock
):
    seen = {}

    async def act(context):
        if context.node_id != "a":
            seen[context.node_id] = rig.types()[-1]
        return {}

    rig.executor.act = act
    await rig.run(node("a"), handlers=handlers(success={}, exit={}))
    assert seen == {
        "handler:success": "run.ending",
        "handler:exit": "run.ending",
    }
    assert rig.types() == ["run.queued", "run.running", "run.ending", "run.succeeded"]


async def test_cancelling_stops_nodes_and_lets_handlers_run(rig, autojump_clock):
    execution = rig.start(
        node("a", does={"sleep": 99}), handlers=handlers(cancelled={"sleep": 5}, exit={})
    )
    await trio.sleep(1)
    assert await rig.engine.cancel("r")
    await trio.sleep(1)
    assert execution.state.status == "ending"
    assert not await rig.engine.cancel("r")
    assert not await rig.engine.pause("r")
    await execution.done.wait()
    assert execution.state.status == "cancelled"
    assert rig.types("handler:cancelled") == ["node.running", "node.succeeded"]
    assert rig.types("handler:exit") == ["node.running", "node.succeeded"]
    assert trio.current_time() == pytest.approx(6, abs=0.1)


async def test_a_request_that_becomes_durable_after_handlers_were_started_does_not_stop_them(
    rig, autojump_clock
):
    retry = RetryPolicy(max_attempts=2, first_delay=60)
    execution = rig.start(
        node("a", does={"until": 2}, retry=retry), handlers=handlers(cancelled={"sleep": 5})
    )
    await trio.sleep(1)
    assert await rig.engine.cancel("r")  # while nothing runs that would have to be stopped first
    await execution.done.wait()
    assert rig.types("handler:cancelled") == ["node.running", "node.succeeded"]


async def test_a_run_that_takes_too_long_has_its_failure_handled_outside_of_its_time(
    rig, autojump_clock
):
    handled = handlers(failure={"sleep": 50}, success={})
    state = await rig.run(node("a", does={"sleep": 99}), timeout=20.0, handlers=handled)
    assert (state.status, state.error["type"]) == ("failed", "timeout")
    assert rig.types("handler:failure") == ["node.running", "node.succeeded"]
    assert trio.current_time() == pytest.approx(70, abs=0.1)


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        ({"sleep": 99}, "timeout"),
        ({"raise": "oh"}, "LookupError"),
        ({"fail": "own"}, "own"),
        ({"exit": 3}, "SystemExit"),
        ({"give": {"x": "y" * 2**20}}, "output"),
        ({"give": "${run.error.message + 1}"}, "expression"),
    ],
)
async def test_whatever_becomes_of_a_handler_the_result_stays(rig, autojump_clock, does, kind):
    state = await rig.run(node("a"), handlers=handlers(7.0, success=does, exit={}))
    assert (state.status, state.error) == ("succeeded", None)
    first, second = run_result(state).handlers
    assert (first.status, first.error["type"], first.attempts) == ("failed", kind, 1)
    assert second.status == "succeeded"
    assert trio.current_time() < 8


async def test_a_handler_that_says_nothing_is_stopped_after_five_minutes(rig, autojump_clock):
    state = await rig.run(node("a"), handlers=handlers(exit={"sleep": 9999}))
    assert run_result(state).handlers[0].error == {
        "type": "timeout",
        "message": "the attempt took longer than 5m00s",
    }
    assert trio.current_time() == pytest.approx(300, abs=0.1)


async def test_a_handler_that_a_shutdown_cuts_off_runs_again_and_the_nodes_do_not(
    tmp_path, autojump_clock
):
    nodes = (node("a", does={"fail": "boom"}),)
    handled = handlers(failure={}, exit={"sleep": 5})
    async with open_rig(tmp_path) as rig:
        rig.start(*nodes, handlers=handled)
        await trio.sleep(1)
    assert rig.types()[-1] == "run.ending"
    async with open_rig(tmp_path) as second:
        state = await second.run(*nodes, events=rig.store.events, handlers=handled)
    assert second.executor.seen == ["+handler:exit/1", "-handler:exit"]
    assert (state.status, state.error["type"]) == ("failed", "node_failed")
    assert second.types() == ["run.ending", "run.failed"]


async def test_a_handler_of_a_run_that_is_lost_is_stopped(rig, autojump_clock):
    execution = rig.start(node("a"), handlers=handlers(exit={"sleep": 99}))
    await trio.sleep(1)
    assert rig.executor.now == 1
    rig.engine.abandon("r", "stale_epoch")
    await trio.sleep(1)
    assert rig.executor.now == 0
    assert execution.abandoned == "stale_epoch"
    assert rig.types("handler:exit") == ["node.running"]


async def test_a_paused_run_that_is_cancelled_at_once_is_given_back_at_its_end_only(tmp_path, rig):
    nodes, handled = [node("a", does={"sleep": 99})], handlers(exit={"sleep": 5})
    rig.start(*nodes, handlers=handled)
    await trio.sleep(1)
    await rig.engine.pause(RunId("r"))
    left = []
    async with open_rig(tmp_path) as second:
        second.engine._listener = Listener(left)
        execution = second.start(*nodes, handlers=handled, events=rig.store.events)
        assert await second.engine.cancel(RunId("r"))
        assert left == []
        await execution.done.wait()
    assert left == ["cancelled"]


async def test_a_handler_is_told_the_outcome_in_its_environment(rig, autojump_clock):
    async def act(context):
        if context.node_id == "a":
            raise NodeError("boom", "bro\0ken")
        return {name: text for name, text in context.env.items() if "_RUN_" in name}

    rig.executor.act = act
    state = await rig.run(node("a"), handlers=handlers(failure={}))
    assert decode(state.due[0].outputs) == {
        "DAGRUN_RUN_ID": "r",
        "DAGRUN_RUN_STATUS": "failed",
        "DAGRUN_RUN_ERROR": "node a: boom: bro\N{REPLACEMENT CHARACTER}ken",
        "DAGRUN_RUN_ERROR_TYPE": "node_failed",
    }


async def test_a_handler_finds_what_nodes_left_in_the_scratch_directory(
    rig, autojump_clock, tmp_path
):
    async def act(context):
        file = context.scratch / "file"
        if context.node_id == "a":
            file.write_text("left")
            return {}
        return {"found": file.read_text()}

    rig.executor.act = act
    state = await rig.run(node("a"), handlers=handlers(exit={}))
    assert decode(state.due[0].outputs) == {"found": "left"}
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_handlers_that_need_a_process_wait_for_a_free_one(tmp_path, autojump_clock):
    def limited(_spec):
        return Handling(strict=False, limited=True)

    async with open_rig(tmp_path, parallel=1) as rig:
        long = rig.start(node("a", does={"sleep": 10}), run="r1", handling=limited)
        short = rig.start(node("b", "a"), node("a"), run="r2", handling=limited)
        handled = rig.start(
            node("c"), run="r3", handling=limited, handlers=handlers(2.0, exit={"sleep": 1})
        )
        for execution in (long, short, handled):
            await execution.done.wait()
        assert rig.executor.most == 1
        assert handled.state.due[0].status == "succeeded"

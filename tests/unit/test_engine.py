"""The engine: what it starts, waits for, stops and journals. Time is virtual."""

import os
import threading
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio

from dagrun.domain import decide
from dagrun.domain.events import Type
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode, encode
from dagrun.domain.output_schema import OutputSchema
from dagrun.domain.plan import Handling, compile_plan
from dagrun.domain.result import run_result
from dagrun.domain.state import RunState
from dagrun.domain.workflow import ExecutorSpec, Handler, RetryPolicy
from dagrun.errors import ConflictError, NodeError
from dagrun.ports.store import CommitResult, Refusal
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.journal import Journal
from dagrun.testing.drive import START, make_node, make_workflow

COMMIT = 0.001  # seconds that the store of these tests takes


class ListStore:
    def __init__(self):
        self.events = []
        self.full = False
        self.refuse = {}

    async def commit(self, events, *, new_runs=(), **_):
        await trio.sleep(COMMIT)
        self.events += events
        return CommitResult(refused=self.refuse)


class Odd(BaseException):
    """Nothing that anybody should raise."""


class Executor:
    """Does what the node's ``does`` option says, and notes starts and ends."""

    def __init__(self):
        self.seen = []
        self.most = self.now = 0

    async def execute(self, context):
        name = (
            context.node_id
            if context.item_index is None
            else f"{context.node_id}[{context.item_index}]"
        )
        self.seen.append(f"+{name}/{context.attempt}")
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            outputs = await self.act(context)
            self.seen.append(f"-{name}")
            return outputs
        finally:
            self.now -= 1

    async def act(self, context):
        match context.options:
            case {"sleep": seconds}:
                await trio.sleep(seconds)
            case {"fail": kind}:
                raise NodeError(kind, "as told")
            case {"never": kind}:
                raise NodeError(kind, "as told", retryable=False)
            case {"raise": text}:
                raise LookupError(text)
            case {"give": outputs}:
                return outputs
            case {"exit": code}:
                raise SystemExit(code)
            case {"leave": text}:
                raise Odd(text)
            case {"spoil": kind}:  # fails in its own way, in a task of its own, when it is stopped
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    try:
                        await trio.sleep_forever()
                    finally:
                        raise NodeError(kind, "while it was stopped")
            case {"show": name}:
                return {"value": getattr(context, name)}
            case {"until": attempt} if context.attempt < attempt:
                raise NodeError("boom", f"attempt {context.attempt}")
        return {}


class Rig:
    def __init__(self, store, journal, engine, executor):
        self.store, self.journal, self.engine, self.executor = store, journal, engine, executor

    def start(self, *nodes, run="r", handling=None, inputs=None, events=(), **fields):
        how = handling or (lambda spec: Handling(strict=False, limited=False))
        plan = compile_plan(make_workflow(*nodes, **fields), how)
        state = RunState(plan, RunId(run), encode(inputs or {}))
        if events:
            replay(state, list(events))
            self.journal.continue_from(state.run_id, state.seq)
        else:
            decide.submit(state, now())
            self.journal.append(state.take_events())
        return self.engine.execute(state, epoch=state.epoch + bool(events))

    async def run(self, *nodes, **options):
        execution = self.start(*nodes, **options)
        await execution.done.wait()
        return execution.state

    def types(self, node_id=None):
        return [str(event.type) for event in self.store.events if event.node_id == node_id]


def now():
    return START + timedelta(seconds=trio.current_time())


class Listener:
    """Notes how runs stood when their engine had no more to do with them."""

    def __init__(self, seen):
        self.seen = seen

    def left(self, state, _abandoned):
        self.seen.append(str(state.status))


@asynccontextmanager
async def open_rig(tmp_path, parallel=2):
    store, executor = ListStore(), Executor()
    async with trio.open_nursery() as nursery:
        journal = Journal(store, refused=lambda run, why, _: engine.abandon(run, str(why)))
        await nursery.start(journal.run)
        engine = Engine(
            name="test",
            journal=journal,
            workshop=Workshop(
                executors={"x": executor},
                structure=lambda _name, options: options,
                processes=None,
                logs=None,
                scratch=tmp_path / "scratch",
            ),
            parallel=parallel,
            now=now,
            draw=lambda: 0.5,
        )
        await nursery.start(engine.run)
        yield Rig(store, journal, engine, executor)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def rig(tmp_path, autojump_clock):
    async with open_rig(tmp_path) as rig:
        yield rig


def node(node_id, *dependencies, does=None, **fields):
    spec = ExecutorSpec(type="x", options=does or {})
    return make_node(node_id, *dependencies, executor=spec, **fields)


async def test_a_run_succeeds_and_its_end_is_durable_before_anybody_hears_of_it(
    rig, autojump_clock
):
    state = await rig.run(
        node("a", does={"give": {"n": 2}}), node("b", "a"), outputs={"n": "${nodes.a.n}"}
    )
    assert state.status == "succeeded"
    assert bytes(state.outputs) == b'{"n":2}'
    assert rig.store.events[-1].type is Type.RUN_SUCCEEDED
    assert [event.seq for event in rig.store.events] == list(range(1, state.seq + 1))
    assert rig.engine.statistics().runs == 0


async def test_independent_nodes_run_at_the_same_time(rig, autojump_clock):
    await rig.run(*[node(name, does={"sleep": 10}) for name in "abc"])
    assert trio.current_time() == pytest.approx(10, abs=0.1)


async def test_process_nodes_are_bounded_and_runs_take_turns(rig, autojump_clock):
    def limited(_spec):
        return Handling(strict=False, limited=True)

    first = rig.start(
        *[node(f"a{i}", does={"sleep": 1}) for i in range(4)], run="r1", handling=limited
    )
    second = rig.start(
        *[node(f"b{i}", does={"sleep": 1}) for i in range(4)], run="r2", handling=limited
    )
    await first.done.wait()
    await second.done.wait()
    assert rig.executor.most == 2
    starts = [name[1] for name in rig.executor.seen if name[0] == "+"]
    assert {*starts[2:4]} == {*starts[4:6]} == {"a", "b"}


async def test_what_an_executor_raises_fails_its_node_only(rig, autojump_clock):
    state = await rig.run(
        node("a", does={"raise": "lost"}),
        node("b", does={"fail": "own"}),
        node("c", does={"give": [1]}),
        node("d", does={"give": {"x": float("nan")}}),
        node("e"),
    )
    errors = {n.step.node.id: n.error and n.error["type"] for n in state.nodes}
    assert errors == {"a": "LookupError", "b": "own", "c": "output", "d": "output", "e": None}


async def test_an_error_that_json_cannot_hold_or_that_is_huge_is_kept_in_part(rig, autojump_clock):
    state = await rig.run(
        node("a", does={"raise": "bad \udc80"}), node("b", does={"raise": "y" * 10**6})
    )
    assert "bad ?" in state.nodes[0].error["message"]
    assert len(state.nodes[1].error["message"]) < 5000
    assert state.status == "failed"


async def test_an_output_over_the_limit_fails_its_node_with_the_sizes(rig, autojump_clock):
    state = await rig.run(node("a", does={"give": {"x": "y" * 2**20}}))
    assert state.nodes[0].error["type"] == "output"
    assert "at most 1048576 are allowed" in state.nodes[0].error["message"]


async def test_an_attempt_that_takes_too_long_fails_and_may_be_tried_again(rig, autojump_clock):
    policy = RetryPolicy(max_attempts=2, first_delay=3, jitter=0)
    state = await rig.run(node("a", does={"sleep": 99}, timeout=5.0, retry=policy))
    assert rig.types("a") == ["node.running", "node.retrying", "node.running", "node.failed"]
    assert state.nodes[0].error == {
        "type": "timeout",
        "message": "the attempt took longer than 5.00s",
    }
    assert trio.current_time() == pytest.approx(13, abs=0.1)


async def test_retries_wait_as_the_policy_says_and_count_attempts(rig, autojump_clock):
    policy = RetryPolicy(max_attempts=3, first_delay=10, backoff=3, max_delay=60, jitter=0)
    state = await rig.run(node("a", does={"until": 3}, retry=policy))
    assert state.status == "succeeded"
    assert state.nodes[0].attempt == 3
    assert trio.current_time() == pytest.approx(40, abs=0.1)


async def test_an_expression_that_fails_is_not_tried_again(rig, autojump_clock):
    policy = RetryPolicy(max_attempts=5)
    state = await rig.run(
        node("a", does={"give": "${1 + inputs.text}"}, retry=policy), inputs={"text": "x"}
    )
    assert state.nodes[0].error["type"] == "expression"
    assert rig.types("a") == ["node.running", "node.failed"]


async def test_an_error_for_which_no_attempt_would_help_is_not_tried_again(rig, autojump_clock):
    policy = RetryPolicy(max_attempts=5)
    state = await rig.run(node("a", does={"never": "odd"}, retry=policy))
    assert state.nodes[0].error == {"type": "odd", "message": "as told"}
    assert rig.types("a") == ["node.running", "node.failed"]


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


async def test_scratch_directories_are_for_their_user_alone_whatever_the_umask(rig, tmp_path):
    async def act(context):
        folders = (context.scratch, context.scratch.parent)
        return {"modes": [folder.stat().st_mode & 0o777 for folder in folders]}

    rig.executor.act = act
    before = os.umask(0)
    try:
        state = await rig.run(node("a"), outputs={"modes": "${nodes.a.modes}"})
    finally:
        os.umask(before)
    assert decode(state.outputs) == {"modes": [0o700, 0o700]}


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


async def test_a_strict_node_starts_after_its_start_is_durable_and_its_successor_after_its_end(
    rig, autojump_clock
):
    started = []

    def strict(_spec):
        return Handling(strict=True, limited=False)

    async def act(context):
        started.append((context.node_id, [str(e.type) for e in rig.store.events if e.node_id]))
        return {}

    rig.executor.act = act
    await rig.run(node("a"), node("b", "a"), handling=strict)
    assert started == [
        ("a", ["node.running"]),
        ("b", ["node.running", "node.succeeded", "node.running"]),
    ]


async def test_a_batched_node_does_not_wait_for_the_disk(rig, autojump_clock):
    await rig.run(*[node(f"n{i}", *([f"n{i - 1}"] if i else [])) for i in range(50)])
    assert trio.current_time() < 5 * COMMIT


async def test_while_the_journal_has_no_room_nothing_starts(rig, autojump_clock, monkeypatch):
    monkeypatch.setattr(rig.journal, "_blocked", "no room")
    execution = rig.start(node("a"))
    await trio.sleep(1)
    assert execution.state.status == "succeeded"


async def test_an_attempt_sees_who_it_is(rig, autojump_clock):
    wanted = (
        "run_id",
        "node_id",
        "attempt",
        "epoch",
        "idempotency_key",
        "item",
        "inputs",
        "nodes",
        "run",
        "env",
        "timeout",
        "kill_after",
        "version",
        "workflow_id",
        "secrets",
    )
    nodes = [
        node(f"see_{name}", "first", does={"show": name}, timeout=7.0, env={"A": "${inputs.n}"})
        for name in wanted
    ]
    state = await rig.run(
        node("first", does={"give": {"x": 1}}), *nodes, inputs={"n": 5}, env={"B": "${run.id}"}
    )
    from dagrun.domain.jsonvalue import decode

    seen = {n.step.node.id[4:]: decode(n.outputs).get("value") for n in state.nodes[1:]}
    assert seen["idempotency_key"] == "r/see_idempotency_key"
    assert seen["nodes"] == {"first": {"x": 1}}
    assert seen["inputs"] == {"n": 5}
    assert seen["env"] == {
        "A": "5",
        "B": "r",
        "DAGRUN_RUN_ID": "r",
        "DAGRUN_NODE_ID": "see_env",
        "DAGRUN_ATTEMPT": "1",
        "DAGRUN_EPOCH": "1",
        "DAGRUN_IDEMPOTENCY_KEY": "r/see_env",
    }
    assert seen["run"]["workflow_id"] == "w"
    assert (seen["timeout"], seen["kill_after"], seen["version"]) == (7.0, 1.0, "1.0.0")


async def test_the_runs_scratch_directory_is_removed_after_it(rig, autojump_clock, tmp_path):
    async def act(context):
        (context.scratch / "file").write_text("x")
        return {}

    rig.executor.act = act
    await rig.run(node("a"))
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_an_executor_that_exits_fails_its_node_only(rig, autojump_clock):
    state = await rig.run(node("a", does={"exit": 3}), node("b"), node("c", does={"leave": "odd"}))
    assert state.nodes[0].error == {"type": "SystemExit", "message": "3"}
    assert state.nodes[1].status == "succeeded"
    assert state.nodes[2].error == {"type": "Odd", "message": "odd"}


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


ROWS = {
    "type": "object",
    "required": ["rows"],
    "properties": {"rows": {"type": "array", "items": {"type": "integer"}}},
}


async def test_outputs_that_do_not_fit_their_schema_fail_the_attempt(rig, autojump_clock):
    retry = RetryPolicy(max_attempts=2, first_delay=1)
    state = await rig.run(
        node("good", does={"give": {"rows": [1], "more": 2}}, outputs=ROWS),
        node("bad", does={"give": {"rows": [1, "x"]}}, outputs=ROWS, retry=retry),
        node("none", does={"give": {}}, outputs=ROWS),
        node("after", "bad"),
    )
    errors = {n.step.node.id: n.error for n in state.nodes}
    assert errors["good"] is None
    assert errors["bad"] == {
        "type": "output_schema",
        "message": "outputs.rows[1]: 'x' is not of type 'integer'",
    }
    assert errors["none"]["message"] == "outputs: 'rows' is a required property"
    assert rig.types("bad") == ["node.running", "node.retrying", "node.running", "node.failed"]
    assert state.node("after").status == "skipped"


async def test_the_outputs_of_each_item_are_checked_by_themselves(rig, autojump_clock):
    async def act(context):
        return {"rows": [context.item]}

    rig.executor.act = act
    node_ = node("a", for_each=(1, "x", 3), tolerate=1, outputs=ROWS)
    state = await rig.run(node_)
    assert decode(state.nodes[0].outputs) == [{"rows": [1]}, None, {"rows": [3]}]
    assert state.nodes[0].items[1].error["type"] == "output_schema"


async def test_outputs_are_checked_beside_the_loop_two_at_a_time(rig, autojump_clock, monkeypatch):
    going, most, threads = set(), [], set()

    def problem(_schema, outputs):
        going.add(bytes(outputs))
        most.append(len(going))
        threads.add(threading.current_thread())
        time.sleep(0.01)  # in a thread; the others have the time to come
        going.discard(bytes(outputs))

    monkeypatch.setattr(OutputSchema, "problem", problem)
    nodes = [node(f"n{i}", does={"give": {"rows": [i]}}, outputs=ROWS) for i in range(6)]
    state = await rig.run(*nodes)
    assert state.status == "succeeded"
    assert len(most) == 6
    assert max(most) <= 2
    assert threading.main_thread() not in threads

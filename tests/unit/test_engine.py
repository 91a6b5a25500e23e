"""The engine: what it starts, what it journals, and what fails. Time is virtual."""

import os
import threading
import time

import pytest
import trio

from dagrun.domain.events import Type
from dagrun.domain.jsonvalue import decode
from dagrun.domain.output_schema import OutputSchema
from dagrun.domain.plan import Handling
from dagrun.domain.workflow import RetryPolicy
from dagrun.testing.scripted import COMMIT, node


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

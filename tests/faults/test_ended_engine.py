"""An engine ends under a running node, one way or the other, and its run goes on elsewhere."""

import signal

import pytest
import trio

from dagrun.domain.workflow import Node, Workflow
from dagrun.testing.checker import check
from dagrun.testing.elsewhere import until
from dagrun.testing.programs import own_sleep, sleepers

LEASE = 1.5  # seconds
SLACK = 10.0  # seconds that a busy machine may take; simulations know the exact time


def shell(node_id, command, *after):
    return Node(node_id, dependencies=after, executor={"type": "shell", "command": command})


def workflow_of(marks, seconds):
    say = f'echo "$DAGRUN_NODE_ID $DAGRUN_EPOCH $DAGRUN_ATTEMPT $DAGRUN_IDEMPOTENCY_KEY" >> {marks}'
    wait = f'[ "$DAGRUN_EPOCH" = 2 ] || sleep {seconds}'
    nodes = [shell("a", say), shell("b", f"{say}; {wait}", "a"), shell("c", say, "b")]
    return Workflow("w", "1.0.0", nodes=nodes)


async def end(engine, how):
    """End an engine, and give its exit code."""
    if how == "killed":
        engine.send_signal(signal.SIGKILL)
    else:
        engine.send_signal(signal.SIGTERM)
    if how == "told twice":
        await trio.to_thread.run_sync(engine.read_past, "handing over", "stderr")
        engine.send_signal(signal.SIGTERM)
    return await trio.to_thread.run_sync(engine.wait)


@pytest.mark.parametrize(
    ("how", "grace", "code"), [("killed", 30, -9), ("told", 0.2, 0), ("told twice", 30, 130)]
)
async def test_however_an_engine_ends_its_node_is_made_again_under_the_next_epoch_with_its_key(
    opened, tmp_path, how, grace, code
):
    marks = tmp_path / "marks"
    seconds = own_sleep()
    workflow = workflow_of(marks, seconds)
    async with opened(lease=LEASE) as it:
        engine = it.engine("e1", "--grace", grace)
        await it.attached("e1")
        run_id = await it.submit(workflow)
        await until(lambda: sleepers(seconds))
        it.engine("e2")
        await it.attached("e1", "e2")
        began = trio.current_time()
        assert await end(engine, how) == code
        await until(lambda: not sleepers(seconds))
        result = await it.result(run_id)
        took = trio.current_time() - began
        assert result.status == "succeeded"
        assert took <= LEASE * 1.2 + SLACK
        if how == "killed":
            assert took >= LEASE * 0.6  # the last heartbeat was a third before at most
        journal = await it.journal(run_id)
    done = [line.split() for line in marks.read_text().splitlines()]
    assert [line[:3] for line in done] == [
        ["a", "1", "1"],
        ["b", "1", "1"],
        ["b", "2", "1"],
        ["c", "2", "1"],
    ]
    keys = [line[3] for line in done]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3
    assert check(workflow, journal) == []

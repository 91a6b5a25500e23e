"""However many callers look at something that may be large, others have their turn in between."""

import importlib
from functools import partial

import pytest
import trio

from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.testing.managed import managed
from dagrun.testing.reached import document, node

CALLERS = 20


@pytest.mark.parametrize(
    ("module", "reads", "look"),
    [
        ("management.workflows", "from_json", lambda m, _run: m.workflows.get("w")),
        ("stored_runs", "from_json", lambda m, run: m.runs.workflow_of(run)),
        ("stored_runs", "replay", lambda m, run: m.runs.get(run)),
        ("stored_runs", "replay", lambda m, run: m.runs.explain(run)),
    ],
)
async def test_one_is_read_at_a_time_and_others_have_their_turn(
    tmp_path, monkeypatch, module, reads, look
):
    there, happened = importlib.import_module(f"dagrun.roles.{module}"), ""
    really = getattr(there, reads)

    def read(*arguments):
        nonlocal happened
        happened += "r"
        return really(*arguments)

    async def have_turns():
        nonlocal happened
        while True:
            happened += "-"
            await trio.lowlevel.checkpoint()

    async with managed(tmp_path, partial(MemoryTransport, hub=Hub()), engine=False) as world:
        management = world.leading.management
        await management.workflows.register(document(node("a")))
        run = await management.runs.start("w")
        monkeypatch.setattr(there, reads, read)
        async with trio.open_nursery() as others:
            others.start_soon(have_turns)
            async with trio.open_nursery() as callers:
                for _ in range(CALLERS):
                    callers.start_soon(look, management, run.run_id)
            others.cancel_scope.cancel()
    assert happened.count("r") >= CALLERS
    assert "rrr" not in happened  # the second one may have been in the next turn

"""Workflows that ask for too much, over gRPC: refused in words that help, and others go on."""

import json
from contextlib import asynccontextmanager

import pytest
import trio

from dagrun.domain.children import DEPTH
from dagrun.domain.scope import MAX_ITEMS
from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.testing.programs import LIMIT
from dagrun.testing.reached import calls, document

ANSWERED = 2.5  # seconds between two answers, at most; usually 0.5, while one call takes six


@asynccontextmanager
async def managing(it):
    grpc = load_plugins().registry.transports.get("grpc")()
    async with grpc, grpc.manage(it.leading.addresses[0]) as client:
        yield client


def lua(node_id, *after, code="return {}", **fields):
    executor = {"type": "lua", "code": code}
    return {"id": node_id, "dependencies": after, "executor": executor, **fields}


async def test_a_million_items_in_a_document_are_refused_while_others_are_answered(opened):
    text = document(lua("a", for_each=[0] * 1_000_000))
    waits = []

    async def ask(client):
        while True:
            began = trio.current_time()
            try:
                await client.engines.list()
                await trio.sleep(0.05)
            finally:  # that nobody answered until the end is what this looks for
                waits.append(trio.current_time() - began)

    async with opened() as it, managing(it) as client, managing(it) as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, other)
            with trio.fail_after(LIMIT), pytest.raises(DefinitionError) as raised:
                await client.workflows.register(text)
            nursery.cancel_scope.cancel()
        assert max(waits) < ANSWERED
        (problem,) = raised.value.problems
        assert problem.message == f"it has 1000000 items; at most {MAX_ITEMS} are allowed"
        assert problem.path == "spec.nodes[0].for_each"
        assert (await client.workflows.list()).items == []


async def test_too_many_items_from_a_node_fail_the_next_one_and_the_engine_goes_on(opened):
    many = lua("many", code="local t = {} for i = 1, 150000 do t[i] = 0 end return {t = t}")
    each = lua("each", "many", for_each="${nodes.many.t}")
    async with opened() as it, managing(it) as client:
        await client.workflows.register(document(many, each))
        await client.workflows.register(document(lua("a"), workflow_id="other"))
        it.engine("e1")
        await it.attached("e1")
        runs = [await client.runs.start(name) for name in ("w", "other")]
        failed, fine = [await client.runs.wait(run.run_id) for run in runs]
        assert failed.status == "failed"
        error = failed.node("each").error
        assert f"for_each has 150000 items; at most {MAX_ITEMS} are allowed" in error["message"]
        assert fine.status == "succeeded"
        assert it.leading.engines()[0].status == "idle"


async def test_workflows_that_come_to_call_each_other_at_once_are_not_all_registered(opened):
    refused = []

    async def register(client, caller, called):
        try:
            await client.workflows.register(document(calls(called), workflow_id=caller))
        except DefinitionError as error:
            refused.append(str(error))

    async with opened() as it, managing(it) as client, trio.open_nursery() as nursery:
        for caller, called in (("a", "b"), ("b", "c"), ("c", "a")):
            nursery.start_soon(register, client, caller, called)
    assert len(refused) == 1
    assert "would start each other for ever" in refused[0]


async def test_runs_below_the_deepest_level_are_refused_with_the_reason(opened):
    async with opened() as it, managing(it) as client:
        await client.workflows.register(document(lua("a"), workflow_id="w0"))
        for level in range(1, DEPTH + 2):
            text = document(calls(f"w{level - 1}"), workflow_id=f"w{level}")
            await client.workflows.register(text)
        it.engine("e1", "--capacity", "1")
        run = await client.runs.start(f"w{DEPTH + 1}")
        result = await client.runs.wait(run.run_id)
        assert result.status == "failed"
        assert f"{DEPTH} runs are above this one" in json.dumps(result.error)

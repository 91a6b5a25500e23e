"""Store, journal, engine, guard and executors together in one process, on real files."""

from pathlib import Path

import pytest
import trio

from dagrun.builtin.control import ask
from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.workflow import Durability, ExecutorSpec, Node, Workflow
from dagrun.errors import (
    ConfigError,
    ConflictError,
    InputError,
    NotFound,
    RemoteError,
    RunOwned,
    UnknownPlugin,
)
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", parallel=4)


def shell(node_id, command, *dependencies, **fields):
    executor = ExecutorSpec(type="shell", options={"command": command})
    return Node(id=node_id, executor=executor, dependencies=dependencies, **fields)


SLEEPS = shell("a", "sleep 60")


def opened(settings, **options):
    return open_local(load_plugins().registry, settings, **options)


def waits_for(kind, node_id):
    """Give an event that is set when something is durable, and the watcher that sets it."""
    happened = trio.Event()

    def see(events):
        if any((event.type, event.node_id) == (kind, node_id) for event in events):
            happened.set()

    return happened, see


async def run(local, workflow, **inputs):
    ticket = await local.submit(Submission(workflow=workflow, inputs=inputs))
    await ticket.wait()
    return ticket.state


def children():
    """Give the ids of the processes that this one has started and that are not waited for."""
    return {
        pid
        for file in Path("/proc/self/task").glob("*/children")
        for pid in file.read_text().split()
    }


class Watching(MemoryStore):
    """Sees whether there is a new process, which can only be the guard, when it is opened."""

    def __init__(self):
        super().__init__()
        self.before, self.guarded = children(), False

    async def __aenter__(self):
        self.guarded = children() > self.before
        return await super().__aenter__()


async def test_runs_of_three_executors_share_one_engine(settings):
    workflow = Workflow(
        "mixed",
        "1.0.0",
        nodes=[
            shell("s", "echo '{\"n\": 2}' > $DAGRUN_OUTPUT"),
            Node(
                id="l",
                executor=ExecutorSpec(type="lua", options={"code": "return {n = nodes.s.n * 2}"}),
                dependencies=["s"],
            ),
            Node(
                id="p",
                executor=ExecutorSpec(
                    type="python", options={"code": "outputs = {'n': nodes['l']['n'] * 2}"}
                ),
                dependencies=["l"],
            ),
        ],
        outputs={"n": "${nodes.p.n}"},
    )
    async with opened(settings) as local:
        states = [await run(local, workflow), await run(local, workflow)]
        assert local.engines[0].statistics().runs == 0
        assert local.journal.statistics().waiting_events == 0
        record = await local.store.run(states[0].run_id)
    assert [bytes(state.outputs) for state in states] == [b'{"n":8}'] * 2
    assert bytes(record.outputs) == b'{"n":8}'
    assert not (settings.data_dir / "scratch" / states[0].run_id).exists()


async def test_a_run_goes_on_in_another_process_life(settings):
    workflow = Workflow("two", "1.0.0", nodes=[shell("a", "true"), shell("b", "sleep 60", "a")])
    started, see = waits_for("node.running", "b")
    async with opened(settings, committed=see) as local:
        ticket = await local.submit(Submission(workflow=workflow, inputs={}))
        await started.wait()
        run_id = ticket.run_id
        async with opened(settings) as other:
            with pytest.raises(RunOwned, match="is being executed by process"):
                await other.go_on(run_id)
    seen = []
    async with opened(settings, committed=seen.extend) as local:
        other = Workflow("two", "1.0.1", nodes=workflow.nodes)
        with pytest.raises(ConflictError, match="another content"):
            await local.go_on(run_id, only=other)
        with pytest.raises(ConflictError, match=r"is a run of two 1\.0\.0, not of three"):
            await local.go_on(run_id, only=Workflow("three", "1.0.0", nodes=workflow.nodes))
        ticket = await local.go_on(run_id, only=workflow)
        assert ticket.state.epoch == 2
        assert [e.node_id for e in seen if e.type == "node.succeeded"] == ["a"]
        assert await local.cancel(run_id)
        await ticket.wait()
        assert ticket.state.status == "cancelled"
        with pytest.raises(ConflictError, match="has ended: cancelled"):
            await local.go_on(run_id)
        with pytest.raises(NotFound):
            await local.go_on("0unknown")


async def test_a_run_that_was_taken_over_is_abandoned(settings):
    workflow = Workflow("one", "1.0.0", nodes=[shell("a", "sleep 60"), shell("b", "true")])
    ended, see = waits_for("node.succeeded", "b")
    async with opened(settings, committed=see) as local:
        ticket = await local.submit(Submission(workflow=workflow, inputs={}))
        await ended.wait()
        run_id = ticket.run_id
        await local.store.claim(run_id, owner="other", expected_epoch=1)
        with pytest.raises(ConflictError, match=r"taken over by somebody else \(stale_epoch\)"):
            await local.pause(run_id)
        await ticket.wait()
        assert ticket.abandoned == "taken over by another process (stale_epoch)"
        assert await local.store.events(run_id)


async def test_an_executor_that_is_not_installed_refuses_the_submission(settings):
    node = Node(id="a", executor=ExecutorSpec(type="nothing"))
    async with opened(settings) as local:
        with pytest.raises(UnknownPlugin, match="installed: http, lua, python, shell"):
            await run(local, Workflow("w", "1.0.0", nodes=[node]))
        assert await local.store.runs() == ([], None)


async def test_a_provider_of_secrets_that_is_not_installed_refuses_the_submission(settings):
    workflow = Workflow("w", "1.0.0", nodes=[shell("a", "true", secrets={"K": "none:k"})])
    async with opened(settings) as local:
        with pytest.raises(ConfigError, match=r"secrets \(K\) from 'none'.*installed: env, file"):
            await run(local, workflow)
        assert await local.store.runs() == ([], None)


async def test_a_provider_of_secrets_is_open_from_its_first_run_to_the_end(settings):
    seen = []

    class Provider:
        async def __aenter__(self):
            seen.append("opened")
            return self

        async def __aexit__(self, *_):
            seen.append("closed")

        async def get(self, reference):
            seen.append(reference)
            return f"value of {reference}"

    registry = load_plugins().registry
    registry.secrets.add("mine", Provider)
    write = 'printf \'{"length": %d}\' $(printf "$K" | wc -c) > "$DAGRUN_OUTPUT"'
    workflow = Workflow("w", "1.0.0", nodes=[shell("a", write)], secrets={"K": "mine:key"})
    async with open_local(registry, settings) as local:
        assert seen == []
        states = [await run(local, workflow) for _ in range(2)]
    assert [bytes(state.nodes[0].outputs) for state in states] == [
        b'{"length":12,"exit_code":0}'
    ] * 2
    assert seen == ["opened", "key", "key", "closed"]


async def test_compiled_workflows_are_kept_for_a_while_only(settings, monkeypatch):
    monkeypatch.setattr("dagrun.services.plans.KEPT", 2)
    node = Node(
        id="a",
        executor=ExecutorSpec(type="lua", options={"code": "return {}"}),
        durability=Durability.BATCHED,
    )
    workflows = [Workflow(f"w{number}", "1.0.0", nodes=[node]) for number in range(4)]
    async with opened(settings) as local:
        prepared = [await local.plans.prepare(workflow) for workflow in workflows]
        assert await local.plans.prepare(workflows[3]) is prepared[3]
        assert await local.plans.prepare(workflows[0]) is not prepared[0]


@pytest.mark.parametrize("value", [float("nan"), "\udc80", "x" * 2**21, {1, 2}])
async def test_inputs_that_json_cannot_hold_are_refused_and_nothing_is_written(settings, value):
    workflow = Workflow("w", "1.0.0", nodes=[shell("a", "true")])
    async with opened(settings) as local:
        with pytest.raises(InputError, match="the inputs are refused"):
            await run(local, workflow, value=value)
        assert await local.store.runs() == ([], None)


async def test_a_submission_that_is_written_while_the_engine_ends_is_there_to_go_on_with(
    settings, monkeypatch
):
    waiting, go = trio.Event(), trio.Event()
    commit, tickets = SqliteStore.commit, []

    async def slow(self, *arguments, **options):
        waiting.set()
        with trio.CancelScope(shield=True):
            await go.wait()
        return await commit(self, *arguments, **options)

    monkeypatch.setattr(SqliteStore, "commit", slow)
    workflow = Workflow("one", "1.0.0", nodes=[shell("a", "true")])

    async def submit(local):
        tickets.append(await local.submit(Submission(workflow=workflow, inputs={})))

    async with opened(settings) as local, trio.open_nursery() as nursery:
        nursery.start_soon(submit, local)
        await waiting.wait()
        local.stop()
        go.set()
    (cut_off,) = tickets
    assert cut_off.picture().status == "queued"
    assert not cut_off.gone
    async with opened(settings) as local:
        assert [str(e.type) for e in await local.store.events(cut_off.run_id)] == ["run.queued"]
        ticket = await local.go_on(cut_off.run_id)
        await ticket.wait()
    assert ticket.state.status == "succeeded"


async def test_a_request_that_no_database_can_hold_is_refused_and_the_run_goes_on(settings):
    started, see = waits_for("node.running", "a")
    async with opened(settings, committed=see) as local:
        ticket = await local.submit(
            Submission(workflow=Workflow("w", "1.0.0", nodes=[SLEEPS]), inputs={})
        )
        await started.wait()
        request = {"do": "cancel", "run_id": ticket.run_id, "reason": "\ud800"}
        with pytest.raises(RemoteError, match="no Unicode"):
            await ask(settings.data_dir, local.owner, request)
        assert ticket.state.status == "running"
        assert await ask(settings.data_dir, local.owner, {**request, "reason": "asked for"})
        await ticket.wait()
    assert ticket.state.status == "cancelled"


@pytest.mark.parametrize(
    ("executor", "guarded"),
    [({"type": "shell", "command": "true"}, True), ({"type": "python", "callable": "a:b"}, False)],
)
async def test_the_guard_starts_beside_the_database_when_the_first_run_is_sure_to_need_it(
    settings, executor, guarded
):
    store, node = Watching(), Node(id="a", executor=executor)
    async with opened(settings, store=store, first=Workflow("w", "1.0.0", nodes=[node])):
        assert store.guarded is guarded


async def test_without_a_first_run_no_guard_starts(settings):
    store = Watching()
    async with opened(settings, store=store):
        assert not store.guarded

"""An orchestrator in this process, and engines in processes of their own, over gRPC on loopback."""

import json
import signal
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import ExecutorSpec, Node, Requirements, Workflow
from dagrun.errors import QueueFull
from dagrun.plugin.loading import load_plugins
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.submission import Submission
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.testing.programs import COMMAND, LIMIT

SHORT = 1.5  # seconds of a lease whose end a test waits for
LONG = 30.0  # seconds of one that must not end


def shell(node_id, command, *dependencies, **fields):
    executor = ExecutorSpec(type="shell", options={"command": command})
    return Node(id=node_id, executor=executor, dependencies=dependencies, **fields)


def workflow(*nodes, **fields):
    return Workflow(id="w", version="1.0.0", nodes=nodes, **fields)


SAY_WHERE = 'echo "{\\"where\\": \\"$PWD\\"}" > $DAGRUN_OUTPUT'
HELLO = workflow(shell("a", SAY_WHERE))


@pytest.fixture
def opened(tmp_path):
    """Open an orchestrator on any free port."""

    @asynccontextmanager
    async def opening(**settings):
        chosen = {"data_dir": tmp_path / "data", "grpc_port": 0, "lease": LONG, **settings}
        registry = load_plugins().registry
        async with open_configured_orchestrator(
            registry, OrchestratorSettings(**chosen)
        ) as leading:
            yield leading

    return opening


@pytest.fixture
def start(launch, tmp_path):
    """Start an engine."""

    def engine(name, orchestrator=None, *arguments, code=None, **environment):
        data_dir = tmp_path / f"{name}_{time.monotonic_ns()}"
        dialled = () if orchestrator is None else ("--orchestrator", orchestrator.addresses[0])
        program = COMMAND if code is None else ("-c", code)
        given = ("engine", "--engine-id", name, "--data-dir", data_dir, *dialled, *arguments)
        return launch(*program, *given, **environment)

    return engine


async def until(condition):
    with trio.fail_after(LIMIT):
        while not (found := condition()):  # noqa: ASYNC110 — other processes do it
            await trio.sleep(0.02)
        return found


async def attached(leading, *names):
    def there():
        return {view.id for view in leading.engines() if view.status != "unhealthy"} >= set(names)

    await until(there)


async def ended(program):
    """Wait for the end of a program, and give its exit code and what it logged."""
    _, logged = await trio.to_thread.run_sync(program.communicate)
    return program.returncode, [
        json.loads(line)["event"] for line in logged.splitlines() if line[:1] == "{"
    ]


async def logs(program, words):
    """Wait until a program has logged something, and give the event."""
    while True:
        line = await trio.to_thread.run_sync(partial(program.read_line, "stderr"))
        if words in line:
            return json.loads(line)["event"]


async def submit(leading, document):
    return await leading.submit(Submission(workflow=document, inputs={}))


async def result(leading, run_id):
    with trio.fail_after(LIMIT):
        return await leading.result(run_id)


def engine_of(done):
    """Give the engine in whose data directory the last node ran."""
    data_dir = Path(done.nodes[-1].outputs["where"]).parents[3]
    return data_dir.name.partition("_")[0]


async def test_an_engine_elsewhere_executes_a_run_and_its_outputs_come_back(opened, start):
    async with opened() as leading:
        run_id = await submit(
            leading,
            workflow(shell("a", 'echo "{\\"n\\": 3}" > $DAGRUN_OUTPUT'), shell("b", "exit 3", "a")),
        )
        start("e1", leading)
        done = await result(leading, run_id)
        assert done.status is RunStatus.FAILED
        a, b = done.nodes
        assert a.outputs == {"n": 3, "exit_code": 0}
        assert b.error["type"] == "exit_code"


async def test_many_runs_are_shared_by_two_engines(opened, start):
    async with opened(load_balancer_type="round-robin") as leading:
        start("e1", leading)
        start("e2", leading)
        await attached(leading, "e1", "e2")
        runs = [await submit(leading, HELLO) for _ in range(10)]
        assert {engine_of(await result(leading, run_id)) for run_id in runs} == {"e1", "e2"}


async def test_a_run_goes_where_what_it_requires_is(opened, start):
    async with opened() as leading:
        start("plain", leading)
        start("big", leading, "--labels", "size=big,zone=a", "--resources", "gpus=2")
        await attached(leading, "plain", "big")
        needs = Requirements(labels={"size": "big"}, resources={"gpus": 2})
        runs = [
            await submit(leading, workflow(shell("a", SAY_WHERE, requires=needs))) for _ in range(4)
        ]
        assert {engine_of(await result(leading, run_id)) for run_id in runs} == {"big"}


async def test_the_runs_of_an_engine_that_was_killed_go_on_elsewhere_after_a_lease(
    opened, start, tmp_path
):
    marks = tmp_path / "marks"
    document = workflow(
        shell("a", f"echo a >> {marks}"),
        shell(
            "b", f"echo b >> {marks}; [ $(grep -c b {marks}) = 2 ] || sleep 60; {SAY_WHERE}", "a"
        ),
    )
    async with opened(lease=SHORT) as leading:
        first = start("e1", leading)
        await attached(leading, "e1")
        run_id = await submit(leading, document)
        await until(lambda: marks.exists() and "b" in marks.read_text())
        start("e2", leading)
        await attached(leading, "e2")
        before = trio.current_time()
        first.kill()
        done = await result(leading, run_id)
        assert done.status is RunStatus.SUCCEEDED
        assert trio.current_time() - before >= SHORT * 0.6  # the last heartbeat was a third before
        assert engine_of(done) == "e2"
        assert marks.read_text().split() == ["a", "b", "b"]
        assert [node.attempts for node in done.nodes] == [1, 1]


async def test_an_engine_that_is_told_to_end_hands_its_runs_over_at_once(opened, start, tmp_path):
    marks = tmp_path / "marks"
    document = workflow(
        shell("a", f"echo a >> {marks}; [ $(grep -c a {marks}) = 2 ] || sleep 60; {SAY_WHERE}")
    )
    async with opened(lease=LONG) as leading:
        first = start("e1", leading, "--grace", "0.3")
        await attached(leading, "e1")
        run_id = await submit(leading, document)
        await until(marks.exists)
        start("e2", leading)
        await attached(leading, "e2")
        first.send_signal(signal.SIGTERM)
        assert (await ended(first))[0] == 0
        done = await result(leading, run_id)
        assert engine_of(done) == "e2"


async def test_an_engine_that_is_told_to_end_lets_its_nodes_finish_within_the_grace(
    opened, start, tmp_path
):
    marks = tmp_path / "marks"
    document = workflow(
        shell("a", f"echo a >> {marks}; sleep 1; echo end >> {marks}"),
        shell("b", f"echo b >> {marks}", "a"),
    )
    async with opened() as leading:
        first = start("e1", leading, "--grace", "15")
        await attached(leading, "e1")
        run_id = await submit(leading, document)
        await until(marks.exists)
        first.send_signal(signal.SIGTERM)
        code, events = await ended(first)
        assert (code, events[-1]) == (0, "stopped")
        assert marks.read_text().split() == ["a", "end"]
        assert "handing over, 15 s at most; a second signal ends all" in events
        start("e2", leading)
        assert (await result(leading, run_id)).status is RunStatus.SUCCEEDED
        assert marks.read_text().split() == ["a", "end", "b"]


async def test_an_engine_that_is_told_to_end_does_so_when_its_last_run_has(opened, start, tmp_path):
    marks = tmp_path / "marks"
    async with opened() as leading:
        engine = start("e1", leading, "--grace", "60")
        await attached(leading, "e1")
        run_id = await submit(leading, workflow(shell("a", f"echo a >> {marks}; sleep 0.5")))
        await until(marks.exists)
        engine.send_signal(signal.SIGTERM)
        assert (await result(leading, run_id)).status is RunStatus.SUCCEEDED
        assert (await ended(engine))[0] == 0


async def test_a_second_signal_ends_an_engine_at_once(opened, start, tmp_path):
    marks = tmp_path / "marks"
    async with opened() as leading:
        engine = start("e1", leading)
        await attached(leading, "e1")
        await submit(leading, workflow(shell("a", f"echo a >> {marks}; sleep 60")))
        await until(marks.exists)
        engine.send_signal(signal.SIGTERM)
        await logs(engine, "handing over")
        engine.send_signal(signal.SIGTERM)
        assert (await ended(engine))[0] == 130


async def test_an_engine_whose_id_is_taken_is_refused_until_the_other_one_has_gone(opened, start):
    async with opened(lease=SHORT) as leading:
        first = start("e1", leading)
        await attached(leading, "e1")
        (view,) = leading.engines()
        second = start("e1", leading)
        refused = await logs(second, "no orchestrator")
        assert "an engine with the id e1 is attached already" in refused
        assert leading.engines() == [view]
        first.send_signal(signal.SIGTERM)
        await logs(second, "engine e1 is attached")
        run_id = await submit(leading, HELLO)
        assert (await result(leading, run_id)).status is RunStatus.SUCCEEDED


STRANGER = """
from functools import partial
from pathlib import Path
from dagrun.cli import main
from dagrun.services.attachment import handshake
handshake.Hello = partial(handshake.Hello, protocol=99)
main()
"""


async def test_an_engine_that_speaks_another_version_is_refused_and_ends(opened, start):
    async with opened() as leading:
        engine = start("e1", leading, code=STRANGER)
        _, printed = await trio.to_thread.run_sync(engine.communicate)
        assert engine.returncode == 1
        assert "it speaks version 99 of the protocol" in printed.splitlines()[-1]
        assert leading.engines() == []


async def test_an_engine_that_waits_is_found_and_dialled_again_when_it_was_away(opened, start):
    engine = start("e1", None, "--port", "0")
    address = (await logs(engine, "listening on")).removeprefix("listening on ")
    async with opened(discovery=("static",), engines=(address,)) as leading:
        run_id = await submit(leading, HELLO)
        assert (await result(leading, run_id)).status is RunStatus.SUCCEEDED
        assert leading.engines()[0].address == address
        engine.kill()
        await until(lambda: leading.engines()[0].status == "unhealthy")
        start("e2", None, "--port", address.rpartition(":")[2])
        await attached(leading, "e2")


async def test_an_orchestrator_logs_why_an_engine_that_another_one_has_takes_no_stream(
    opened, start, tmp_path, caplog
):
    engine = start("e1", None, "--port", "0")
    address = (await logs(engine, "listening on")).removeprefix("listening on ")
    static = {"discovery": ("static",), "engines": (address,)}
    async with opened(**static) as first, opened(**static, data_dir=tmp_path / "other") as second:
        await until(lambda: len(first.engines()) + len(second.engines()) == 1)
        await until(lambda: "this engine talks with an orchestrator" in caplog.text)


async def test_an_engine_that_is_registered_is_dialled_and_by_two_names_has_one_stream(
    opened, start
):
    # The orchestrator may go before it has said that the end of the run is durable.
    engine = start("e1", None, "--port", "0", "--grace", "1")
    address = (await logs(engine, "listening on")).removeprefix("listening on ")
    async with opened(engine_health_check_interval=0.2) as leading:
        assert leading.engines() == []
        leading.register(address)
        await attached(leading, "e1")
        leading.register(address.replace("127.0.0.1", "localhost"))
        run_id = await submit(leading, workflow(shell("a", "sleep 1")))
        assert (await result(leading, run_id)).status is RunStatus.SUCCEEDED
        assert leading.discoveries.statistics().dialled == 2
        assert leading.engines()[0].address == address
    engine.send_signal(signal.SIGTERM)
    _, events = await ended(engine)
    assert events.count("engine e1 is attached") == 1


async def test_only_who_has_the_token_is_let_in(opened, start):
    async with opened(token="secret-7") as leading:
        stranger = start("e1", leading, DAGRUN_TOKEN="secret-8")
        assert "the token is not accepted" in await logs(stranger, "no orchestrator")
        start("e2", leading, DAGRUN_TOKEN="secret-7")
        await attached(leading, "e2")
        assert [view.id for view in leading.engines()] == ["e2"]


async def test_an_engine_asks_its_orchestrator_for_the_token_too(opened, start):
    engine = start("e1", None, "--port", "0", DAGRUN_TOKEN="secret-7")
    address = (await logs(engine, "listening on")).removeprefix("listening on ")
    static = {"discovery": ("static",), "engines": (address,)}
    async with opened(token="secret-8", **static) as leading:
        await trio.sleep(1)
        assert leading.engines() == []
    async with opened(token="secret-7", **static) as leading:
        await attached(leading, "e1")


async def test_while_dispatch_is_paused_runs_wait_and_so_many_may(opened, start):
    async with opened(paused=True, queue_limit=2) as leading:
        start("e1", leading)
        await attached(leading, "e1")
        first = await submit(leading, HELLO)
        await submit(leading, HELLO)
        with pytest.raises(QueueFull, match="2 runs wait already"):
            await submit(leading, HELLO)
        assert leading.dispatcher.explain(first) == (
            "it waits until dispatch goes on: it is paused (DAGRUN_PAUSED)"
        )
        leading.dispatcher.resume_dispatch()
        assert (await result(leading, first)).status is RunStatus.SUCCEEDED
        leading.dispatcher.pause_dispatch()
        waits = await submit(leading, HELLO)
        assert (await leading.store.run(RunId(waits))).status is RunStatus.QUEUED


async def test_submissions_on_their_way_count_for_the_limit_unless_an_engine_takes_them(
    opened, start
):
    async with opened(queue_limit=2) as leading:
        with pytest.RaisesGroup(*3 * [pytest.RaisesExc(QueueFull)]):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(shielded, submit, leading, HELLO)
        start("e1", leading, "--capacity", "8")
        await until(lambda: leading.dispatcher.statistics().queued == 0)
        await until(lambda: leading.dispatcher.statistics().running == 0)
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(submit, leading, HELLO)


async def shielded(call, *arguments):
    """Call, whatever becomes of others."""
    with trio.CancelScope(shield=True):
        await call(*arguments)

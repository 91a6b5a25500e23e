"""An orchestrator in a process of its own: strangers at its door, and others that want its place."""

import random
import resource
import signal
import struct
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from dagrun.builtin.ownership import ORCHESTRATOR, lock_file
from dagrun.plugin.loading import load_plugins
from dagrun.ports.management import Wanted
from dagrun.testing.elsewhere import until
from dagrun.testing.management import document
from dagrun.testing.programs import COMMAND, LIMIT
from dagrun.testing.roles import LISTENING, address_of, free_port, logged, read_log
from dagrun_grpc.testing import connected

MIB = 1024 * 1024
HANDSHAKE = 1.0  # seconds that a connection has for its first call
SLACK = 10.0  # seconds that a busy machine may take
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
ATTACH = "/dagrun.v1.OrchestratorService/Attach"
WORK = document({"id": "a", "executor": {"type": "lua", "code": "return {n = 1}"}})


@pytest.fixture
def orchestrator(launch):
    def start(port=0, *arguments):
        given = ("--grpc-port", port, "--connection-timeout", HANDSHAKE, *arguments)
        return launch(*COMMAND, "orchestrator", *given)

    return start


@pytest.fixture
def engine(launch, tmp_path):
    def start(address):
        given = ("--engine-id", "e1", "--data-dir", tmp_path / "e1", "--orchestrator", address)
        return launch(*COMMAND, "engine", *given)

    return start


@asynccontextmanager
async def managing(address):
    grpc = load_plugins().registry.transports.get("grpc")()
    async with grpc, grpc.manage(address) as client:
        yield client


def memory_of(program):
    """Give the bytes that a process has in memory."""
    pages = Path(f"/proc/{program.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


async def says_junk(port, first, seed):
    junk = random.Random(seed).randbytes(50_000)
    async with connected(port) as raw:
        await raw.stream.send_all(first)
        await raw.send_until_cut_off(junk, pause=0.01)


async def says_nothing_more(port, first):
    async with connected(port) as raw:
        await raw.stream.send_all(first)
        assert HANDSHAKE * 0.9 <= await raw.drained() <= HANDSHAKE + SLACK


async def announces_too_much(port):
    async with connected(port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        await raw.data(number, struct.pack(">?I", False, 300 * MIB))
        frame = b"\0\x40\0\0\0" + number.to_bytes(4, "big") + bytes(16384)
        await raw.send_until_cut_off(frame)


async def test_strangers_of_all_kinds_are_cut_off_and_engines_and_clients_notice_nothing(
    orchestrator, engine
):
    program = orchestrator(0, "--lease", 3.0)
    address = await trio.to_thread.run_sync(address_of, program)
    port = int(address.rpartition(":")[2])
    told = []

    async def listen(client, *, task_status):
        async with client.events.follow(Wanted(types=["engine"])) as news:
            task_status.started()
            async for event in news:
                told.append((event.type, event.engine_id))  # noqa: PERF401 — it has no end

    async def run(client):
        with trio.fail_after(LIMIT / 2):
            result = await client.runs.wait((await client.runs.start("w")).run_id)
        assert (result.status, result.node("a").attempts) == ("succeeded", 1)
        events = await client.events.list(Wanted(run_id=result.run_id))
        assert {event.engine_id for event in events.items} <= {None, "e1"}

    async def come():
        async with trio.open_nursery() as nursery:
            for seed in range(10):
                nursery.start_soon(says_junk, port, b"", seed)
                nursery.start_soon(says_junk, port, PREFACE + SETTINGS, seed)
                nursery.start_soon(says_nothing_more, port, b"")
                nursery.start_soon(says_nothing_more, port, PREFACE + SETTINGS)
            for _ in range(3):
                nursery.start_soon(announces_too_much, port)
            for _ in range(3):
                await run(client)

    async with managing(address) as client, trio.open_nursery() as nursery:
        await nursery.start(listen, client)
        engine(address)
        await client.workflows.register(WORK)
        await come()  # what it once needed it keeps
        before = memory_of(program)
        await come()
        assert memory_of(program) - before < 8 * MIB
        (view,) = await client.engines.list()
        assert (view.id, view.status) == ("e1", "idle")
        assert told == [("engine.joined", "e1")]
        nursery.cancel_scope.cancel()


def leader(data_dir, several):
    """Give the one whose process the lock of a data directory names."""
    file = lock_file(data_dir, ORCHESTRATOR)
    pid = file.read_text().partition("\n")[0] if file.exists() else ""
    return next((program for program in several if str(program.pid) == pid), None)


async def test_of_several_orchestrators_one_leads_and_when_it_is_killed_one_goes_on_with_its_runs(
    orchestrator, engine, tmp_path
):
    port, data_dir = free_port(), tmp_path / "data"
    several = [orchestrator(port) for _ in range(3)]
    leads = await until(lambda: leader(data_dir, several))
    await trio.to_thread.run_sync(address_of, leads)
    for other in several:
        if other is not leads:
            said = await trio.to_thread.run_sync(read_log, other, "waiting")
            assert f"process {leads.pid} is the orchestrator of" in said
    async with managing(f"127.0.0.1:{port}") as client:
        await client.workflows.register(WORK)
        runs = [(await client.runs.start("w")).run_id for _ in range(3)]
    leads.send_signal(signal.SIGKILL)
    several.remove(leads)
    leads = await until(lambda: leader(data_dir, several))
    await trio.to_thread.run_sync(address_of, leads)
    engine(f"127.0.0.1:{port}")
    async with managing(f"127.0.0.1:{port}") as client:
        for run_id in runs:
            assert (await client.runs.wait(run_id)).status == "succeeded"
    for program in several:
        program.send_signal(signal.SIGTERM)
    for program in several:
        _, err = await trio.to_thread.run_sync(program.communicate)
        assert program.returncode == 0
        assert not [one for one in logged(err) if one["event"].startswith(LISTENING)]

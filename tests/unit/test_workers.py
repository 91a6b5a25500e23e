# ruff: noqa: ASYNC110 — polls what other processes do
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
import trio

from dagrun.errors import NodeError, WorkerDied
from dagrun.services.processes import open_processes
from dagrun.testing.executors import MemoryLog, is_running
from dagrun.workers.log_pipe import LogPipe
from dagrun.workers.pool import WorkerPool

CHILD = """
import os, sys, time
from dagrun.workers.child import HIGH, NUMBER, serve, write_frame

own = os.getpid()
def is_parent():
    return os.getpid() == own

def handle(request):
    word, _, rest = request.partition(b" ")
    if word == b"pid":
        return str(os.getpid()).encode()
    if word == b"print":
        print("x" * int(rest))
    if word == b"exit":
        os._exit(int(rest))
    if word == b"hang":
        time.sleep(60)
    if word == b"twice":
        write_frame(HIGH, (int(rest)).to_bytes(NUMBER, "little") + b"stale")
    if word == b"junk":
        os.write(HIGH, rest)
    if word == b"fork" and os.fork() == 0:
        if rest == b"raise":
            raise LookupError("in the child")
        if rest:
            sys.exit(eval(rest))
    if word == b"fork":
        return b"%d" % os.waitstatus_to_exitcode(os.wait()[1]) if is_parent() else b"child"
    if word == b"long":
        return b"y" * int(rest)
    return request

serve(handle)
"""


@pytest.fixture
async def processes():
    async with open_processes() as processes:
        yield processes


@pytest.fixture
async def pool(processes):
    async with WorkerPool([sys.executable, "-c", CHILD], keep=2) as pool:
        yield pool


async def test_one_worker_answers_call_after_call(processes, pool):
    first = await pool.call(processes, b"pid", log=None)
    assert await pool.call(processes, b"pid", log=None) == first
    assert pool.statistics().idle == 1


@pytest.mark.parametrize("length", [0, 1, 300_000])
async def test_requests_of_any_length_come_back_whole(processes, pool, length):
    request = b"echo " + b"z" * length
    assert await pool.call(processes, request, log=None) == request


async def test_all_that_was_printed_is_in_the_log_before_the_reply(processes, pool):
    for length in (5, 300_000):
        log = MemoryLog()
        await pool.call(processes, b"print %d" % length, log=log)
        assert len(log.data) == length + 1


async def test_calls_do_not_wait_for_each_other_and_few_workers_are_kept(processes, pool):
    pids = set()

    async def call():
        pids.add(await pool.call(processes, b"pid", log=None))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(call)
    assert len(pids) > 2
    while pool.statistics().busy:
        await trio.sleep(0.001)
    assert pool.statistics().idle == 2
    assert sum(is_running(int(pid)) for pid in pids) == 2


async def test_a_worker_that_dies_in_a_call_tells_its_exit_code(processes, pool):
    with pytest.raises(WorkerDied, match="exit code 7"):
        await pool.call(processes, b"exit 7", log=None)
    assert await pool.call(processes, b"again", log=None) == b"again"


async def test_a_worker_that_died_while_idle_is_replaced_silently(processes, pool):
    pid = int(await pool.call(processes, b"pid", log=None))
    os.kill(pid, signal.SIGKILL)
    while is_running(pid):
        await trio.sleep(0.001)
    assert int(await pool.call(processes, b"pid", log=None)) != pid


async def test_a_cancelled_call_kills_its_worker_at_once(processes, pool):
    pid = int(await pool.call(processes, b"pid", log=None))
    with trio.move_on_after(0.05) as scope:
        await pool.call(processes, b"hang", log=None)
    assert scope.cancelled_caught
    assert not is_running(pid)
    assert pool.statistics().busy == 0


async def test_a_reply_over_the_limit_ends_the_worker(processes, pool):
    with pytest.raises(NodeError, match="at most 10 are allowed"):
        await pool.call(processes, b"long 1000000", log=None, max_reply=10)
    assert pool.statistics().idle == 0


@pytest.mark.parametrize("number", [1, 3, 2**63])
async def test_an_earlier_or_a_second_reply_is_never_taken_for_that_of_a_call(
    processes, pool, number
):
    pid = int(await pool.call(processes, b"pid", log=None))
    with pytest.raises(WorkerDied, match="something else than its reply"):
        await pool.call(processes, b"twice %d" % number, log=None)
    assert not is_running(pid)
    assert await pool.call(processes, b"again", log=None) == b"again"


async def test_what_follows_a_reply_does_not_reach_the_next_call(processes, pool):
    for _ in range(3):
        with suppress(WorkerDied):  # both come at once, or the reply comes alone
            assert await pool.call(processes, b"twice 1", log=None) == b"stale"
        with suppress(WorkerDied):  # the rest comes before the call, or in it
            assert await pool.call(processes, b"again", log=None) == b"again"
        with suppress(WorkerDied):
            await pool.call(processes, b"exit 1", log=None)


@pytest.mark.parametrize("junk", [b"x", b"{}", b"\x02\0\0\0{}", b"\0" * 12, b"\xff" * 100])
async def test_stray_bytes_in_front_of_a_reply_end_the_worker(processes, pool, junk):
    with pytest.raises(WorkerDied):
        await pool.call(processes, b"junk " + junk, log=None)
    assert pool.statistics().idle == 0


@pytest.mark.parametrize(
    ("how", "code", "printed"),
    [
        (b"", b"0", ""),
        (b"0", b"0", ""),
        (b"None", b"0", ""),
        (b"7", b"7", ""),
        (b"'why'", b"1", "why\n"),
        (b"raise", b"1", "LookupError: in the child\n"),
    ],
)
async def test_a_forked_child_ends_as_a_program_does_and_gives_no_reply(
    processes, pool, how, code, printed
):
    log = MemoryLog()
    assert await pool.call(processes, b"fork " + how, log=log) == code
    assert log.text().endswith(printed)
    assert await pool.call(processes, b"again", log=None) == b"again"
    assert pool.statistics().idle == 1


class Endless(MemoryLog):
    """Refuses to be kept busy."""

    def write(self, data):
        super().write(data)
        assert len(self.data) < 8 << 20


@contextmanager
def printing_forever(pipe):
    process = subprocess.Popen(["yes"], stdout=pipe.write_fd)
    yield
    process.kill()
    process.wait()


async def test_a_program_that_never_stops_printing_lets_others_have_their_turn():
    log = Endless()
    with LogPipe(log) as pipe, printing_forever(pipe), trio.fail_after(10):
        while not log.data:
            await pipe.catch_up()
            await trio.sleep(0.001)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.copy)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


async def test_a_retired_worker_is_gone_when_the_call_returns(processes, pool):
    pid = int(await pool.call(processes, b"pid", log=None, retire=lambda _: True))
    assert not is_running(pid)


async def test_workers_with_other_arguments_are_not_used(processes, pool):
    pids = {await pool.call(processes, b"pid", log=None, arguments=(a,)) for a in "abc"}
    assert len(pids) == 3


async def test_the_end_of_the_pool_is_the_end_of_its_workers(processes):
    async with WorkerPool([sys.executable, "-c", CHILD], keep=2) as pool:
        pid = int(await pool.call(processes, b"pid", log=None))
    assert not is_running(pid)


async def test_a_program_that_cannot_start_takes_no_place(processes):
    async with WorkerPool(["/no/such/program"]) as pool:
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await pool.call(processes, b"", log=None)

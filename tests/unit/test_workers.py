# ruff: noqa: ASYNC110 — polls what other processes do
import os
import signal
import sys

import pytest
import trio

from dagrun.errors import NodeError, WorkerDied
from dagrun.services.processes import open_processes
from dagrun.testing.executors import MemoryLog, is_running
from dagrun.workers.pool import WorkerPool

CHILD = """
import os, sys, time
from dagrun.workers.child import serve

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

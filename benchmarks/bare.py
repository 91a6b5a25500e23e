"""The floors of nodes with a process: the same worker, the same spawn, and nothing around them."""

import json
import os
import select
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from dagrun.workers.child import HEAD, NUMBER, write_frame
from dagrun_lua.executor import worker_argv


def lua_round_trip(requests: list[bytes]) -> float:
    """Send requests to one warm worker, one after the other. Give the seconds of one."""
    ours, theirs = socket.socketpair()
    argv = worker_argv()
    with theirs, ours, open(os.devnull, "wb") as null:
        process = subprocess.Popen(argv, stdin=theirs, stdout=null, stderr=null, env={})
        _ask(ours, requests[0])
        start = time.perf_counter()
        for request in requests:
            _ask(ours, request)
        seconds = time.perf_counter() - start
        ours.shutdown(socket.SHUT_RDWR)
        process.wait()
    return seconds / len(requests)


def _ask(connection: socket.socket, request: bytes) -> bytes:
    write_frame(connection.fileno(), bytes(NUMBER) + request)
    size = int.from_bytes(_read(connection, HEAD), "little")
    return _read(connection, size)[NUMBER:]


def _read(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        parts += connection.recv(size - len(parts))
    return parts


def spawn_true(count: int, parallel: int) -> float:
    """Run ``/bin/true`` some times, several at once. Give the seconds of all.

    Each has a session, a pipe for its output that is read to the end, and a file with its inputs.
    """
    env = {"PATH": os.environ["PATH"]}
    running: dict[int, tuple[int, int, str]] = {}
    poll = select.poll()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        number = 0
        while number < count or running:
            while number < count and len(running) < parallel:
                file = Path(folder) / f"{number}.json"
                file.write_bytes(json.dumps({}).encode())
                read, write = os.pipe()
                actions = [(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_DUP2, write, 2)]
                pid = os.posix_spawn(
                    "/bin/true",
                    ["/bin/true"],
                    {**env, "DAGRUN_INPUTS": str(file)},
                    file_actions=actions,
                    setsid=True,
                )
                os.close(write)
                pidfd = os.pidfd_open(pid)
                poll.register(pidfd, select.POLLIN)
                running[pidfd] = (pid, read, str(file))
                number += 1
            for pidfd, _ in poll.poll():
                pid, read, name = running.pop(pidfd)
                poll.unregister(pidfd)
                os.close(pidfd)
                while os.read(read, 65536):
                    pass
                os.close(read)
                os.waitpid(pid, 0)
                os.unlink(name)
        return time.perf_counter() - start

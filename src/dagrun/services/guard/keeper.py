"""The guard's first process, which forks the second one and waits for it."""

import os
import signal
import socket

from .descendants import IGNORED
from .requests import Guard
from .system import adopt_orphans, kill_everything


def take_descriptors() -> tuple[socket.socket, int]:
    """Give the engine's socket and a descriptor of ``/dev/null``; close all others."""
    engine = socket.socket(fileno=os.dup(0))
    devnull = os.open("/dev/null", os.O_RDWR)
    os.dup2(devnull, 0)
    keep = sorted((engine.fileno(), devnull))
    os.closerange(3, keep[0])
    os.closerange(keep[0] + 1, keep[1])
    os.closerange(keep[1] + 1, os.sysconf("SC_OPEN_MAX"))
    return engine, devnull


def guard(engine: socket.socket, devnull: int, keeper: int) -> None:
    """Guard until the engine's socket ends, or the keeper does."""
    adopt_orphans()
    try:
        Guard(engine, devnull, keeper).serve()
    except OSError:
        return


def main() -> None:
    """Be the keeper and the guard; each of them leaves nothing behind."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    engine, devnull = take_descriptors()
    os.chdir("/")
    adopt_orphans()
    ended, alive = os.pipe()
    guard_pid = os.fork()
    try:
        if guard_pid:
            os.close(ended)
            os.waitpid(guard_pid, 0)
        else:
            os.close(alive)
            guard(engine, devnull, ended)
    finally:
        kill_everything()
        os._exit(0)  # the usual end costs 5 ms, as each half copies the memory that they share


if __name__ == "__main__":
    main()

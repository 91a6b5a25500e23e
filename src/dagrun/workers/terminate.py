"""How a process is ended: politely first, or at once; always to the end."""

import signal

import trio

from dagrun.errors import WorkerDied
from dagrun.ports.processes import Process


async def terminate(process: Process, *, kill_after: float) -> None:
    """Send SIGTERM to the group and, ``kill_after`` seconds later, SIGKILL; wait for the end.

    All of the group has ``kill_after``, also when its leader has ended. Cancellation does not cut
    it short: on return nothing of the process is left.
    """
    with trio.CancelScope(shield=True):
        process.terminate()
        with trio.move_on_after(kill_after):
            await _ended(process)
            return
        await kill(process)


async def kill(process: Process) -> None:
    """Kill the group and wait for its end, whatever is cancelled meanwhile."""
    with trio.CancelScope(shield=True):
        process.signal(signal.SIGKILL)
        await _ended(process)


async def _ended(process: Process) -> None:
    try:
        await process.wait()
    except WorkerDied:
        return

"""What the code of a node may change of its whole process, set back before the next node.

What Python keeps in modules is left as it is: a module that was imported stays, with what is in it,
and may rely on what it has set up.
"""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

_STREAMS: Final = ("stdin", "stdout", "stderr")  # by the number of their descriptors
_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_SIGNALS: Final = tuple(
    number
    for number in range(1, signal.SIGRTMIN)
    if number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
)


class ProcessState:
    """The state in which this process is when the object is made."""

    def __init__(self) -> None:
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        self._depth = sys.getrecursionlimit()
        self._limits = _limits()
        self._files = _files()
        self._streams: tuple[Any, ...] = tuple(getattr(sys, name) for name in _STREAMS)
        self._report_where_stopped()

    def restore(self) -> bool:
        """Set back what can be. Give whether that is all.

        A descriptor that has another file now is not set back: whoever opened that may close it
        under the next node.
        """
        # Timers first: their signals would end the process once the handlers are gone.
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        self._restore_signals()
        os.umask(self._umask)
        sys.setrecursionlimit(max(sys.getrecursionlimit(), self._depth))
        whole = _files() == self._files and _limits() == self._limits
        return self._restore_streams() and whole

    def _restore_signals(self) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        self._report_where_stopped()

    def _report_where_stopped(self) -> None:
        """Let the log say where a node was stopped."""
        faulthandler.unregister(signal.SIGTERM)
        with suppress(
            OSError, ValueError
        ):  # standard error is closed; the worker is not used again
            faulthandler.register(signal.SIGTERM, file=self._streams[2], chain=True)

    def _restore_streams(self) -> bool:
        for name, stream in zip(_STREAMS, self._streams, strict=True):
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        return all(_succeeds(stream.fileno) for stream in self._streams)


def _succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:  # noqa: BLE001 — a stream that was closed, detached or worse
        return False
    return True


def _files() -> list[tuple[int, int] | None]:
    """Give which files the standard streams are connected with."""
    return [_file(number) for number in range(len(_STREAMS))]


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _limits() -> bytes:
    """Give all limits as text. The module `resource` would hide one beside the document."""
    with open("/proc/self/limits", "rb") as file:  # noqa: PTH123 — light
        return file.read()

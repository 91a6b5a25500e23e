"""How long a test of the suites may take, so that what hangs fails, and holds up nobody."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import pytest

WHOLE: Final = 60.0  # seconds; no test of the suites takes two on a quiet machine


@contextmanager
def within(seconds: float = WHOLE) -> Iterator[None]:
    """Fail what takes longer, though it never lets go of the processor.

    For code without a loop, in the main thread; another thread is left alone. A timer that was set
    before, such as that of pytest-timeout, goes on afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def fail(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"the test takes more than {seconds:g} s")

    began = time.monotonic()
    earlier: Any = signal.signal(signal.SIGALRM, fail)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        rest = max(left - (time.monotonic() - began), 0.001) if left else 0.0
        signal.signal(signal.SIGALRM, earlier)
        signal.setitimer(signal.ITIMER_REAL, rest, interval)

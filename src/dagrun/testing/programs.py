"""Programs that tests run beside themselves, and for which they wait with a limit.

A program that is broken must fail its test, with what it said, and must not hold up all others.
"""

import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final, Literal, NoReturn

COMMAND: Final = ("-m", "dagrun")
"""What makes Python the command line of dagrun."""

LIMIT: Final = 20.0  # seconds; less than the grace, which no test shall wait for by mistake


class Program(subprocess.Popen[str]):
    """A Python program in a process of its own.

    Whatever waits for it kills it at its limit, and fails the test with what it had printed.

    Args:
        arguments: what Python is given.
        folder: its working directory; ``data`` in it is dagrun's data directory.
        stdio: what all three standard streams are; a pipe each, if not given.
        environment: variables that it gets besides those of the tests.
    """

    def __init__(
        self,
        *arguments: object,
        folder: Path,
        stdio: int = subprocess.PIPE,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(
            [sys.executable, *map(str, arguments)],
            stdin=stdio,
            stdout=stdio,
            stderr=stdio,
            text=True,
            cwd=folder,
            env=_variables(folder, environment),
        )

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.stdin is not None  # noqa: S101 — a pipe, see above
        self.stdin.write(f"{line}\n")
        self.stdin.flush()

    def read_line(
        self, stream: Literal["stdout", "stderr"] = "stdout", *, limit: float = LIMIT / 2
    ) -> str:
        """Read a line, without its end. It takes no byte more: the rest is for ``communicate``.

        Raises:
            AssertionError: there was none before the end of the program, or for ``limit`` seconds.
        """
        pipe, end, line = getattr(self, stream).fileno(), time.monotonic() + limit, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0, end - time.monotonic()))
            byte = os.read(pipe, 1) if ready else b""
            if not byte:
                when = "before its end" if ready else f"within {limit:g} s"
                self._complain(f"it printed no line {when}", line.decode())
            line += byte
        return line.decode().removesuffix("\n")

    def read_past(self, words: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        """Read up to the end of the line that has these words."""
        while words not in self.read_line(stream):
            pass

    def communicate(
        self,
        input: str | None = None,  # noqa: A002 — the name that it has in the base
        timeout: float | None = LIMIT,
    ) -> tuple[str, str]:
        """Wait for the end, and give what it printed on either stream."""
        try:
            return super().communicate(input, timeout)
        except subprocess.TimeoutExpired:
            self._complain(f"it did not end within {timeout} s")

    def wait(self, timeout: float | None = LIMIT) -> int:
        """Wait for the end, and give the exit code."""
        try:
            return super().wait(timeout)
        except subprocess.TimeoutExpired:
            self._complain(f"it did not end within {timeout} s")

    def _complain(self, trouble: str, read: str = "") -> NoReturn:
        self.kill()
        out, err = super().communicate(timeout=LIMIT)
        raise AssertionError(f"{self.args!r}: {trouble}\n{read}{out}\n{err}")


@contextmanager
def launching(folder: Path) -> Iterator[Callable[..., Program]]:
    """Give what starts programs in a folder; those that have not ended by the end are killed."""
    started: list[Program] = []

    def launch(*arguments: object, **environment: str) -> Program:
        started.append(Program(*arguments, folder=folder, environment=environment))
        return started[-1]

    try:
        yield launch
    finally:
        with ExitStack() as collecting:
            for program in started:
                program.kill()
                collecting.callback(program.communicate)


def call(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, without an input."""
    with launching(folder) as launch:
        program = launch(*arguments, **environment)
        out, err = program.communicate(timeout=3 * LIMIT)
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def on_terminal(
    *arguments: object, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run dagrun on a terminal of its own, and give all that it wrote there."""
    terminal, inside = pty.openpty()
    shown = b""
    variables = {"TERM": "xterm", "COLUMNS": "120", **environment}
    program = Program(*COMMAND, *arguments, folder=folder, stdio=inside, environment=variables)
    os.close(inside)
    killer = threading.Timer(LIMIT, program.kill)
    killer.start()
    while part := _read_terminal(terminal):
        shown += part
    killer.cancel()
    os.close(terminal)
    return subprocess.CompletedProcess(program.args, program.wait(), shown.decode(), "")


def _read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # its other side is closed
        return b""


def until(condition: Callable[[], object], *, limit: float = LIMIT) -> None:
    """Wait for what another process does.

    Raises:
        AssertionError: the condition did not come true within ``limit`` seconds.
    """
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"it did not happen within {limit:g} s")
        time.sleep(0.02)


def own_sleep() -> int:
    """Give a number of seconds for which nobody else sleeps, see :func:`sleepers`."""
    return 10**12 + os.getpid() * 10**3 + next(_SLEEPS)


_SLEEPS: Final = count()


def sleepers(seconds: int) -> Sequence[int]:
    """Give the ids of the processes ``sleep SECONDS``: the number tells whose they are."""
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if _command_line(path).startswith(f"sleep\0{seconds}\0".encode())
    ]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


def _variables(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "DAGRUN_DATA_DIR": str(folder / "data"), **more}

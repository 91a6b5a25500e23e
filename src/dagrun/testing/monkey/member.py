"""A process of a troop."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from dagrun.testing import failpoints
from dagrun.testing.programs import COMMAND


@attrs.define(eq=False)
class Member:
    """A process that is started, killed and frozen."""

    name: str
    arguments: Sequence[str]
    folder: Path
    """Where it runs; what it prints goes there, too."""

    process: trio.Process | None = None
    frozen: bool = False

    async def start(self, failpoint: tuple[str, int] | None = None) -> None:
        """Start it, unless it runs.

        Args:
            failpoint: where it is to end by ``kill -9``, and at which time that it passes there;
                see :mod:`~dagrun.testing.failpoints`.
        """
        if self.process is not None:
            return
        program = COMMAND if failpoint is None else (*failpoints.COMMAND, *map(str, failpoint))
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = await trio.lowlevel.open_process(
                [sys.executable, *program, *self.arguments],
                cwd=self.folder,
                stdin=None,
                stdout=log,
                stderr=log,
            )

    async def wait(self) -> int:
        """Wait until it has ended by itself, and give its exit code."""
        assert self.process is not None  # noqa: S101 — a caller's mistake
        code = await self.process.wait()
        self.process = None
        return code

    async def kill(self) -> int | None:
        """End it without a last word. Give its exit code if it has ended by itself before."""
        if self.process is None:
            return None
        code = self.process.returncode
        self.process.kill()
        await self.process.wait()
        self.process, self.frozen = None, False
        return code

    def freeze(self, *, on: bool) -> None:
        """Let it hang, or go on."""
        if self.process is not None and self.frozen is not on:
            self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)
            self.frozen = on

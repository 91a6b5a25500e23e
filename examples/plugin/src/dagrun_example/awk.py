"""The executor ``awk``: runs an awk program over files, and gives the lines that it prints."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import ClassVar, Final

import attrs
import trio

from dagrun.domain.workflow import JSON
from dagrun.errors import NodeError
from dagrun.ports.executor import Context
from dagrun.ports.processes import Process
from dagrun.workers.environment import base_environment
from dagrun.workers.log_pipe import LogPipe
from dagrun.workers.terminate import terminate

MOST: Final = 1024 * 1024  # bytes of lines; the engine takes no more in any case


@attrs.frozen(kw_only=True)
class AwkOptions:
    """What a document says under ``executor`` of an ``awk`` node."""

    program: str
    """The text of the program. ``${…}`` is left alone in it: hand values over in ``env``."""

    files: tuple[str, ...] = ()
    """What it reads; relative to the document."""


@attrs.define
class Lines:
    """What the program prints, up to ``MOST``. It is what a pipe takes for a log."""

    too_many: Callable[[], None]
    """Called when there is more."""

    data: bytearray = attrs.field(factory=bytearray)

    def write(self, data: bytes) -> None:
        """Take what came."""
        self.data += data[: MOST + 1 - len(self.data)]
        if len(self.data) > MOST:
            self.too_many()

    def tail(self) -> bytes:
        """Give all of it; nobody asks."""
        return bytes(self.data)


class AwkExecutor:
    """Runs awk in a process that ends with the node at the latest."""

    options: ClassVar[type[AwkOptions]] = AwkOptions
    literal_options: ClassVar[frozenset[str]] = frozenset({"program"})
    uses_process: ClassVar[bool] = True

    async def execute(self, context: Context) -> Mapping[str, JSON]:
        """Give ``lines``.

        Cancelling the call ends the process.

        Raises:
            NodeError: ``start`` if there is no awk, ``exit_code``, ``output`` for too many lines
                or what is no text.
        """
        with trio.CancelScope() as scope:
            lines = Lines(scope.cancel)
            code = await _run(context, lines)
        if len(lines.data) > MOST:
            raise NodeError("output", f"it prints more than {MOST} bytes")
        if code != 0:
            raise NodeError("exit_code", f"awk ended with {code}")
        try:
            return {"lines": lines.data.decode().splitlines()}
        except UnicodeDecodeError as error:
            raise NodeError("output", f"what it prints is no UTF-8: {error}") from error


async def _run(context: Context, lines: Lines) -> int:
    with LogPipe(lines) as out, LogPipe(context.log) as errors:
        process = await _spawn(context, out, errors)
        async with AsyncExitStack() as copying:
            await copying.enter_async_context(out.copied())
            await copying.enter_async_context(errors.copied())
            try:
                return await process.wait()
            except BaseException:
                await terminate(process, kill_after=context.kill_after)
                raise


async def _spawn(context: Context, out: LogPipe, errors: LogPipe) -> Process:
    options: AwkOptions = context.options
    folder = context.base or context.scratch
    files = (str(folder / name) for name in options.files)
    try:
        return await context.processes.spawn(
            ["awk", "--", options.program, *files],
            env={**base_environment(), **context.env, **context.secrets},
            cwd=str(context.scratch),
            stdout=out.write_fd,
            stderr=errors.write_fd,
        )
    except OSError as error:
        raise NodeError("start", f"awk cannot be started: {error.strerror or error}") from error
    finally:
        out.close_writer()
        errors.close_writer()

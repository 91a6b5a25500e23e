"""The executor ``shell``: a program, or text for ``sh``."""

import errno
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final

import attrs

from dagrun.builtin.shell_files import Files, open_stdin
from dagrun.domain.unfilled import in_shell
from dagrun.domain.workflow import JSON, Durability
from dagrun.errors import NodeError
from dagrun.ports.executor import Context, NodeLog
from dagrun.ports.processes import Process
from dagrun.workers.environment import base_environment, directory, merged
from dagrun.workers.host import FILES, host_trouble
from dagrun.workers.log_pipe import LogPipe
from dagrun.workers.terminate import terminate

SHELL: Final = "/bin/sh"


@attrs.frozen(kw_only=True)
class ShellOptions:
    """What a document says under ``executor`` of a ``shell`` node."""

    command: list[str] | str | None = None
    """Program and arguments, or a string for ``sh -c``."""

    code: str | None = None
    """Text for ``sh -c`` in which ``${…}`` belongs to the shell."""

    env: Mapping[str, str] = attrs.field(factory=dict)
    """Variables beside those of the workflow and of the node."""

    cwd: str | None = None
    """Working directory; relative to the document. Without it: the scratch directory."""

    stdin: str | None = None
    """Text for standard input; without it the input is empty."""

    def __attrs_post_init__(self) -> None:
        """Check that there is one thing to run."""
        if (self.command is None) == (self.code is None):
            raise ValueError("give either 'command' or 'code'")
        if not (self.command or self.code):
            raise ValueError("the command is empty")
        for name in self.env:
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"{name!r} in 'env' is no name of a variable")
            if name.startswith("DAGRUN_"):
                raise ValueError(f"{name!r} in 'env': names that begin with DAGRUN_ are reserved")
        if any("\0" in text for text in (*self.argv(), *self.env.values(), self.cwd or "")):
            raise ValueError("no program can be given a NUL character; write it in 'stdin'")

    def argv(self) -> list[str]:
        """Give what to execute."""
        if isinstance(self.command, str) or self.command is None:
            return [SHELL, "-c", self.command or self.code or ""]
        return list(self.command)


class ShellExecutor:
    """Runs a program in a process group of its own; cancelling ends the whole group.

    The program finds its inputs as JSON in the file that ``DAGRUN_INPUTS`` names, and may
    write one JSON object to the file that ``DAGRUN_OUTPUT`` names.
    """

    options: ClassVar[type[ShellOptions]] = ShellOptions
    durability: ClassVar[Durability] = Durability.STRICT
    uses_process: ClassVar[bool] = True
    literal_options: ClassVar[frozenset[str]] = frozenset({"code"})
    secret_options: ClassVar[frozenset[str]] = frozenset({"env", "stdin"})
    unfilled: ClassVar[Callable[[str], Iterable[str]]] = staticmethod(in_shell)

    def __init__(self) -> None:
        self._base = base_environment()

    async def execute(self, context: Context) -> Mapping[str, JSON]:
        """Run the program.

        Raises:
            NodeError: ``exit_code``, ``signal``, ``output``, or ``start`` for a program that
                cannot be started.
            HostTrouble: it cannot be started now, for want of room, files or a folder.
            WorkerDied: the guard ended.
        """
        options: ShellOptions = context.options
        files = Files(context)
        try:
            files.write_inputs(context.raw_inputs)
            ours = {name: context.env[name] for name in context.env if name.startswith("DAGRUN_")}
            env = merged(self._base, context.env, context.secrets, options.env, ours, files.env())
            with LogPipe(context.log) as log:
                process = await _spawn(context, options, env, log)
                code = await _finish(process, log, context.kill_after)
            _check(code, context.log)
            return {**files.read_outputs(), "exit_code": code}
        finally:
            files.remove()


async def _spawn(
    context: Context, options: ShellOptions, env: Mapping[str, str], log: LogPipe
) -> Process:
    cwd, argv = directory(context, options.cwd), _argv(context, options)
    with host_trouble(FILES):
        stdin = None if options.stdin is None else open_stdin(options.stdin)
    try:
        with host_trouble(FILES):
            return await context.processes.spawn(
                argv,
                env=env,
                cwd=cwd,
                stdin=stdin,
                stdout=log.write_fd,
                stderr=log.write_fd,
            )
    except OSError as error:
        raise NodeError("start", _why_not(argv, cwd, error)) from error
    finally:
        if stdin is not None:
            os.close(stdin)
        log.close_writer()


def _argv(context: Context, options: ShellOptions) -> list[str]:
    """Give what to execute. A program with a slash is looked for beside the document.

    One without is looked up on the PATH, as a shell does.
    """
    program, *rest = options.argv()
    if "/" in program and context.base is not None:
        program = str(context.base / program)
    return [program, *rest]


def _why_not(argv: Sequence[str], cwd: str, error: OSError) -> str:
    if not os.path.isdir(cwd):  # noqa: PTH112 — light
        return f"the working directory {cwd!r} is none"
    why = f"cannot start {argv[0]!r}: {error.strerror or error}"
    if len(argv) > 1 or " " not in argv[0] or error.errno != errno.ENOENT:
        return why
    return f"{why}; a program and its arguments are the elements of a list"


async def _finish(process: Process, log: LogPipe, kill_after: float) -> int:
    """Wait for the end, copying the log; what the pipe still holds then is copied, too.

    A descendant that holds the pipe open does not keep a finished node.
    """
    async with log.copied():
        try:
            return await process.wait()
        except BaseException:
            await terminate(process, kill_after=kill_after)
            raise


def _check(code: int, log: NodeLog) -> None:
    if code == 0:
        return
    last_line = _last_line(log)
    said = f": {last_line}" if last_line else ""
    if code > 0:
        raise NodeError("exit_code", f"exit code {code}{said}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    raise NodeError("signal", f"ended by signal {name}{said}")


def _last_line(log: NodeLog) -> str:
    """Give the last line that is not blank; empty if nothing was printed."""
    lines = log.tail().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

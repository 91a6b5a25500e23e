# ruff: noqa: A003 — the option is called `callable` in documents
"""The executor ``python``: a function or a piece of code, in a worker process or in the engine."""

import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import attrs
import msgspec

from dagrun.builtin.inline_functions import Functions
from dagrun.domain.jsonvalue import NotJson, Raw, parse
from dagrun.domain.unfilled import in_python
from dagrun.domain.workflow import JSON, Durability
from dagrun.errors import NodeError, WorkerDied, sole
from dagrun.ports.executor import Context
from dagrun.workers.environment import base_environment, directory, merged
from dagrun.workers.pool import UsesWorkers, WorkerPool

START: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from dagrun.workers.python_child import main; main(sys.argv[2:])"
)
PACKAGES: Final = str(Path(__file__).parents[2])  # where the worker finds dagrun itself
RETIRE: Final = b'{"retire"'


@attrs.frozen(kw_only=True)
class PythonOptions:
    """What a document says under ``executor`` of a ``python`` node."""

    callable: str | None = attrs.field(default=None)
    """``package.module:function``, looked for beside the document, too."""

    code: str | None = None
    """Code that sees ``inputs``, ``nodes``, ``run``, ``env``, ``item`` and assigns ``outputs``."""

    cwd: str | None = None
    """Working directory; relative to the document. Without it: the scratch directory."""

    isolation: Literal["process", "inline"] = "process"
    """``inline`` runs a trusted function in the engine, where one that blocks stops all else."""

    @callable.validator
    def _check_callable(self, _: object, value: str | None) -> None:
        if value is not None and not all(value.partition(":")):
            raise ValueError("'callable' must look like 'package.module:function'")

    def __attrs_post_init__(self) -> None:
        """Check that there is one thing to run, in a place where it can."""
        if (self.callable is None) == (self.code is None):
            raise ValueError("give either 'callable' or 'code'")
        if self.code is not None and self.isolation == "inline":
            raise ValueError("'code' runs in a process only; inline needs a 'callable'")
        if self.cwd is not None and self.isolation == "inline":
            raise ValueError(
                "an inline function has the working directory of dagrun; leave out 'cwd'"
            )
        if "\0" in (self.cwd or ""):
            raise ValueError("'cwd' holds a NUL character")
        if self.code is not None:
            _check_syntax(self.code)


def _check_syntax(code: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the node's log is the place for them
            compile(code, "code", "exec")
    except SyntaxError as error:
        raise ValueError(f"code, line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"the code cannot be compiled: {error}") from error


class _Failure(msgspec.Struct):
    type: str
    message: str


class _Reply(msgspec.Struct):
    outputs: msgspec.Raw = msgspec.Raw(b"")
    error: _Failure | None = None


def _needs_process(options: PythonOptions) -> bool:
    return options.isolation == "process"


class PythonExecutor(UsesWorkers):
    """Runs Python. Enter it with ``async with``: it keeps worker processes.

    A worker serves the nodes of documents of one folder, which comes first on its import path.
    Async functions run under ``trio.run`` in a worker, and in the engine's own loop inline.
    """

    options: ClassVar[type[PythonOptions]] = PythonOptions
    durability: ClassVar[Durability] = Durability.STRICT
    uses_process: ClassVar[Callable[[Any], bool]] = staticmethod(_needs_process)
    literal_options: ClassVar[frozenset[str]] = frozenset({"code", "file"})
    unfilled: ClassVar[Callable[[str], Iterable[str]]] = staticmethod(in_python)

    def __init__(self) -> None:
        self._base = base_environment()
        self._functions = Functions()
        argv = [sys.executable, "-I", "-c", START, PACKAGES]
        super().__init__(WorkerPool(argv, env=self._base))

    async def execute(self, context: Context) -> Mapping[str, JSON] | Raw:
        """Call the function or run the code.

        Raises:
            NodeError: named after the exception's class, or ``output`` for a result that is no
                JSON object; the traceback is in the log.
        """
        if context.options.isolation == "inline":
            return await self._call_inline(context)
        return await self._call_worker(context)

    async def _call_inline(self, context: Context) -> Mapping[str, JSON]:
        options: PythonOptions = context.options
        inputs = context.inputs
        try:
            function = self._functions.get(options.callable or "", context.base)
            result = function(**inputs)
            if type(result) is not dict and inspect.isawaitable(result):
                result = await result
        except (Exception, BaseExceptionGroup, SystemExit) as error:
            context.log.write(traceback.format_exc().encode(errors="replace"))
            cause = sole(error)
            if not isinstance(cause, Exception | SystemExit):
                raise  # it was stopped, too
            raise NodeError(type(cause).__name__, str(cause)) from error
        return _mapping(result)

    async def _call_worker(self, context: Context) -> Raw:
        reply = await self._pool.call(
            context.processes,
            self._request(context),
            log=context.log,
            retire=_is_spent if not context.secrets else _always,  # a module may keep them
            arguments=() if context.base is None else (str(context.base),),
            kill_after=context.kill_after,
        )
        return _outputs(reply)

    def _request(self, context: Context) -> bytes:
        options: PythonOptions = context.options
        return msgspec.json.encode(
            {
                "callable": options.callable,
                "code": options.code,
                "inputs": context.raw_inputs,
                "nodes": context.raw_nodes if options.code is not None else {},
                "run": context.run,
                "item": context.item,
                "item_index": context.item_index,
                "env": merged(self._base, context.env, context.secrets),
                "cwd": directory(context, options.cwd),
            }
        )


def _mapping(result: object) -> Mapping[str, JSON]:
    if isinstance(result, dict):
        return result
    if result is None:
        return {}
    if isinstance(result, Mapping):
        return dict(result)
    raise NodeError("output", f"the result is no mapping but {type(result).__name__}")


def _always(_: bytes) -> bool:
    return True


def _is_spent(reply: bytes) -> bool:
    return reply.startswith(RETIRE)


def _outputs(reply: bytes) -> Raw:
    try:
        answer = msgspec.json.decode(reply, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WorkerDied(f"the worker's reply is damaged: {error}") from error
    if answer.error is not None:
        raise NodeError(answer.error.type, answer.error.message)
    try:
        return parse(bytes(answer.outputs))
    except NotJson as error:
        raise NodeError("output", f"the result is refused: {error}") from error

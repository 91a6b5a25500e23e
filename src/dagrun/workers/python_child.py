"""The worker of the executor ``python``: calls functions and runs code, one node at a time.

A request is ``{callable, code, inputs, nodes, run, item, item_index, env, cwd}``; the reply is
``{"outputs": …}`` or ``{"error": {type, message}}``. It begins with ``{"retire": true`` when the
node left something behind that the next one would suffer from, such as processes and threads: the
engine then ends this worker, and them with it.

The document's folder comes first on the import path, but only when all that the worker itself needs
is imported: a ``json.py`` beside the document must not take the place of Python's.
"""

import _thread
import importlib
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from typing import Any

from dagrun.workers import importing
from dagrun.workers.child import flush, serve
from dagrun.workers.process_state import ProcessState

PR_SET_CHILD_SUBREAPER = 36
NAMES = ("inputs", "nodes", "run", "env", "item", "item_index")
SETTLE = 1.0  # seconds; most that is waited for a thread that a library keeps busy
FOLDERS: list[str] = []
"""The document's folder, if there is one."""

# The worker's own: a node may put something else in the place of json.dumps.
DECODE = json.JSONDecoder().decode
ENCODE = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


class BadOutput(Exception):
    """What the node gave is no JSON object."""


def each_key_once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object in which a key stands twice: 1 and "1" are one in JSON."""
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise BadOutput(f"two keys of the result are both {key!r} in JSON")
        keys.add(key)


LOOK_AT_KEYS = json.JSONDecoder(object_pairs_hook=each_key_once, parse_int=str).decode

OURS: set[str] = set()
"""Modules that the worker imported for itself."""

SETTLED: set[str] = {str(os.getpid())}
"""Threads that need no look: the one that serves, and those that libraries have."""


class Handler:
    """Carries out nodes, one after the other."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._state: ProcessState | None = None

    def prepare(self) -> None:
        """Note how the process is before its first node, once it serves."""
        self._state = self._state or ProcessState()

    def handle(self, request: bytes) -> bytes:
        """Carry out one node and give the reply."""
        message = DECODE(request.decode())
        try:
            body = '"outputs":' + perform(message)
        except BadOutput as error:
            body = failure("output", text_of(error))
        except BaseException as error:
            if os.getpid() != self._process:
                raise  # out of a child that the node's code forked
            print_traceback(error)
            body = failure(type(error).__name__, text_of(error))
        flush()  # before the streams are set back
        clean = self._state is not None and self._state.restore() and not leftovers()
        return (("{" if clean else '{"retire":true,') + body + "}").encode()


def perform(message: dict[str, Any]) -> str:
    """Run the node's function or code, and give its outputs as JSON text."""
    os.environ.clear()
    os.environ.update(message["env"])
    os.chdir(message["cwd"])
    if message["code"] is not None:
        return to_json(run_code(message))
    function = resolve(message["callable"])
    result = function(**message["inputs"])
    if inspect.isawaitable(result):
        result = wait_for(result)
    return to_json(result)


def run_code(message: dict[str, Any]) -> object:
    """Execute code; what it leaves in ``outputs`` is the result."""
    scope: dict[str, Any] = {"__name__": "__dagrun__", **{key: message[key] for key in NAMES}}
    exec(compile(message["code"], "<code>", "exec"), scope)  # noqa: S102 — what the node is for
    return scope.get("outputs")


def resolve(name: str) -> Any:
    """Find ``package.module:function``."""
    module, _, path = name.partition(":")
    refuse_hidden(module.partition(".")[0])
    importing.module = module
    try:
        found: Any = importlib.import_module(module)
    finally:
        importing.module = None
    for part in path.split("."):
        found = getattr(found, part)
    return found


def refuse_hidden(package: str) -> None:
    """Refuse a module beside the document whose name one of the worker's own has."""
    beside = PathFinder.find_spec(package, FOLDERS) if package in OURS else None
    if beside is not None and beside.origin is not None:  # a folder of data has no origin
        origin = getattr(sys.modules.get(package), "__file__", None) or "the interpreter"
        raise ImportError(
            f"{package!r} cannot be imported from {FOLDERS[0]}: another module of that name is there "
            f"already, from {origin}; use another name"
        )


@contextmanager
def without_folders() -> Iterator[None]:
    """Import something for the worker itself."""
    path, loaded = list(sys.path), set(sys.modules)
    sys.path[:] = [folder for folder in path if folder not in FOLDERS]
    try:
        yield
    finally:
        sys.path[:] = path
        OURS.update(set(sys.modules) - loaded)


def wait_for(awaitable: Any) -> object:
    """Run what an async function returned, under trio."""
    with without_folders():
        import trio  # noqa: PLC0415 — a tenth of a second that few nodes need

    async def main() -> object:
        return await awaitable

    return trio.run(main)


def to_json(result: object) -> str:
    """Write the result as a JSON object; None is an empty one."""
    if result is None:
        return "{}"
    if not isinstance(result, Mapping):
        raise BadOutput(f"the result is no mapping but {type(result).__name__}")
    try:
        text = ENCODE(dict(result))
        text.encode()
        LOOK_AT_KEYS(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadOutput(f"the result cannot be written as JSON: {error}") from error
    return text


def failure(kind: str, message: str) -> str:
    """Give the part of the reply that tells an error."""
    text = ENCODE({"type": kind, "message": message})
    return '"error":' + text.encode(errors="replace").decode()


def text_of(error: BaseException) -> str:
    """Give what an exception says; its class may be the node's, and fail in that."""
    try:
        return str(error)
    except BaseException as other:  # noqa: BLE001 — whatever it is, the node's error is the first
        return f"(its text cannot be had: {type(other).__name__})"


def print_traceback(error: BaseException) -> None:
    """Print a traceback to the node's log, without the frames that lead to the node's code."""
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    with suppress(Exception):  # the node's code may have put anything in the place of sys.stderr
        sys.stderr.write("".join(traceback.format_exception(type(error), error, frames)))


def _is_ours(file: str) -> bool:
    return file == __file__ or "importlib" in file


def leftovers() -> bool:
    """Whether the node left threads that run Python, or child processes, behind.

    Threads that libraries have for themselves, such as those of numpy, do not count: they come with
    the import, and wait.
    """
    tasks = os.listdir("/proc/self/task")  # noqa: PTH208 — light
    settle(tasks)
    return python_threads() or any(map(has_children, tasks))


def python_threads() -> bool:
    """Whether there are threads of Python beside this one."""
    # The second one sees threads that a library made, the first one those that are inside of C.
    return _thread._count() > 0 or len(sys._current_frames()) > 1  # noqa: SLF001 — no public way


def settle(tasks: Iterable[str]) -> None:
    """Wait until the threads that are new have begun: only then Python counts one as its own.

    One that has yet to begin runs, or is about to: a thread that waits is past that. It cannot wait
    for the interpreter's lock while its state is read, because reading gives the lock away.
    """
    until = time.monotonic() + SETTLE
    for task in set(tasks) - SETTLED:
        while runs(task) and not python_threads() and time.monotonic() < until:
            time.sleep(0.001)
    SETTLED.clear()
    SETTLED.update(tasks)


def runs(task: str) -> bool:
    """Whether a thread of this process runs, or would if there were a processor for it."""
    try:
        with open(f"/proc/self/task/{task}/stat", "rb") as file:  # noqa: PTH123 — light
            return file.read().rpartition(b") ")[2][:1] in b"RD"
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False


def has_children(task: str) -> bool:
    """Whether a thread of this process has child processes."""
    try:
        with open(f"/proc/self/task/{task}/children", "rb") as file:  # noqa: PTH123 — light
            return bool(file.read().strip())
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False


def adopt_orphans() -> None:
    """Keep daemons that a node starts below this process, where :func:`leftovers` sees them."""
    try:
        import ctypes  # noqa: PLC0415 — may be missing

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def main(folders: Sequence[str]) -> None:
    """Serve until the engine is gone."""
    adopt_orphans()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text file
    handler = Handler()
    OURS.update(sys.modules)
    FOLDERS[:] = folders
    sys.path[:0] = folders
    serve(handler.handle, handler.prepare)

"""The program of a worker process: answers each request in a fresh Lua runtime.

It is started with the folders to import from as arguments, and imports as little as it can.
"""

import json
import resource
import sys

sys.path[:0] = sys.argv[1:]

# E402: these are found through the path that has just been set.
from dagrun.domain.lua import MAX_DEPTH, VALUES, Converter, open_runtime  # noqa: E402 — see above
from dagrun.workers.child import serve  # noqa: E402 — see above

# Read, not imported: importing the package would load the engine's side, 90 ms.
with open(__file__.removesuffix("worker.py") + "sandbox.lua", encoding="utf-8") as _file:  # noqa: PTH123 — importing pathlib takes 10 ms
    _SANDBOX = _file.read()

_NO_NEW_PRIVS = 38  # PR_SET_NO_NEW_PRIVS, linux/prctl.h
_ROOM = 1 << 30  # bytes of address space beside Lua's: Python, its libraries, the request
_LEAST = 1 << 20  # bytes that the sandbox itself is made with, and that a call needs
_NAMES = ("inputs", "nodes", "run", "env", "item", "item_index", "secrets")


def _with_null_tests(code: str) -> str:
    """Let code compare with ``json.null``, which Lua reads as nil."""
    if "null" not in code:
        return code
    from dagrun.domain.nulls import with_null_tests  # noqa: PLC0415 — most code has no use for it

    return with_null_tests(code)


class Machine:
    """A fresh Lua runtime, for one request."""

    def __init__(self) -> None:
        self._runtime = open_runtime(_LEAST)
        self._values = self._runtime.execute(VALUES, MAX_DEPTH, name="=values", mode="t")
        self._run = self._runtime.execute(_SANDBOX, self._values, name="=sandbox", mode="t")
        self._runtime.set_max_memory(0)

    def run(self, asked: dict) -> tuple[str, str]:  # type: ignore[type-arg]  # typing takes 4 ms
        """Run the code that is asked for; give the kind of its end, and outputs or message."""
        memory, scope = asked["memory"], asked["scope"]
        code = _with_null_tests(asked["code"])
        _limit(resource.RLIMIT_AS, 2 * memory + _ROOM)
        # Values are made before the limit holds: outside of a call, reaching it ends the process.
        to_lua = Converter(self._runtime, self._values, memory).to_lua
        values = [to_lua(scope[name]) if name in scope else None for name in _NAMES]
        copied = 4 * (len(code) + sum(len(value) for value in values if type(value) is str))
        if self._runtime.get_memory_used() + copied + _LEAST > memory:
            raise MemoryError
        self._runtime.set_max_memory(memory)
        kind, text = self._run(code, asked["name"], asked["timeout"], *values)
        return kind, text


class Worker:
    """Answers each request with a machine that was made before it came."""

    def prepare(self) -> None:
        """Make the next machine."""
        self._machine = Machine()

    def handle(self, request: bytes) -> bytes:
        """Run the code of one request; give the reply."""
        asked = json.loads(request)
        try:
            kind, text = self._machine.run(asked)
        except (OverflowError, UnicodeEncodeError) as error:
            return _error("input", f"a value that Lua cannot hold: {error}")
        except Exception as error:  # noqa: BLE001 — lupa's errors, MemoryError: the node fails
            kind, text = "lua", str(error)
            if "memory" in f"{type(error).__name__} {error}".lower():
                kind = "memory"
        if kind == "done":
            return b'{"outputs":' + text.encode() + b"}"
        if kind == "timeout":
            text = "the code did not end within the node's timeout"
        return _error(kind, _memory_message(asked) if kind == "memory" else text)


def _memory_message(asked: dict) -> str:  # type: ignore[type-arg]  # as above
    return f"the code needs more than {asked['memory']} bytes of memory"


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"error": {"type": kind, "message": message}}).encode()


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, hard))


def _confine() -> None:
    """Give up what Lua code has no use for, should it ever break out."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _limit(resource.RLIMIT_NOFILE, 64)
    from ctypes import CDLL  # noqa: PLC0415 — beside its only use

    CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    _confine()
    worker = Worker()
    serve(worker.handle, worker.prepare)

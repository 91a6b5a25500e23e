"""The engine's side: requests to worker processes, and what their replies mean."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import msgspec

from dagrun.domain.jsonvalue import MAX_AGGREGATE, NotJson, Raw, encode, parse
from dagrun.domain.lua import LONGEST_CHECKED, syntax_problem
from dagrun.domain.tokens import Unfinished, tokens
from dagrun.domain.unfilled import MARK
from dagrun.domain.workflow import Durability
from dagrun.errors import NodeError
from dagrun.ports.executor import Context
from dagrun.workers.pool import UsesWorkers, WorkerPool

MEMORY: Final = 64 * 1024 * 1024
"""Bytes that a node's code may allocate unless its options say otherwise."""

_LEAST_MEMORY: Final = 1024 * 1024  # bytes; the libraries themselves take 30 kB
_MOST_MEMORY: Final = 1 << 40  # bytes; a number that the system can count with
_MARGIN: Final = 0.05  # seconds by which the worker's own limit comes before the engine's


@attrs.frozen(kw_only=True)
class LuaOptions:
    """Options of the ``lua`` executor; one of ``code`` and ``file`` is needed."""

    code: str | None = None
    """The code; it sees ``inputs``, ``nodes``, ``run``, ``env``, ``item``, ``item_index``, ``secrets``."""

    file: str | None = None
    """A file that holds it, relative to the document; its text is ``code`` once it is loaded."""

    memory: int = attrs.field(
        default=MEMORY,
        validator=[
            attrs.validators.instance_of(int),
            attrs.validators.ge(_LEAST_MEMORY),
            attrs.validators.le(_MOST_MEMORY),
        ],
    )
    """Bytes that the code may allocate."""

    def __attrs_post_init__(self) -> None:
        if (self.code is None) == (self.file is None):
            raise ValueError("lua needs either code or file")
        problem = None if self.code is None else syntax_problem(self.code)
        if problem is not None:
            raise ValueError(f"code, line {problem}")


def unfilled(code: str) -> Iterator[str]:
    """Give the ``${…}`` in the texts of a code that replaces nothing in them."""
    if "gsub" in code or len(code) > LONGEST_CHECKED:
        return
    try:
        texts = [token.text for token in tokens(code) if token.kind == "string"]
    except Unfinished:
        return  # which the options tell
    for text in texts:
        yield from MARK.findall(text)


class LuaExecutor(UsesWorkers):
    """Runs Lua code in worker processes. Use it as ``async with``."""

    options = LuaOptions
    durability = Durability.BATCHED
    uses_process = True
    files: ClassVar[Mapping[str, str]] = {"file": "code"}
    unfilled: ClassVar[Callable[[str], Iterable[str]]] = staticmethod(unfilled)

    def __init__(self) -> None:
        super().__init__(WorkerPool(worker_argv()))

    async def execute(self, context: Context) -> Raw:
        """Run the node's code.

        Raises:
            NodeError: ``lua`` (syntax or runtime), ``memory``, ``timeout``, ``output`` (a value
                that is no table or that JSON cannot hold), ``file`` (only its name was stored).
            WorkerDied: the worker process ended.
        """
        reply = await self._pool.call(context.processes, _request(context), log=context.log)
        return _outputs(reply)


def worker_argv() -> list[str]:
    """Give the worker's command line: no site, only the folders of what it imports."""
    script = Path(__file__).with_name("worker.py")
    folders = dict.fromkeys(_folder(package) for package in ("dagrun", "lupa"))
    return [sys.executable, "-I", "-S", str(script), *folders]


def _folder(package: str) -> str:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 — both are installed
    return str(Path(spec.origin).parent.parent)


def _request(context: Context) -> bytes:
    options: LuaOptions = context.options
    code = options.code
    if code is None:
        message = f"the workflow was stored without the text of {options.file}; register it again"
        raise NodeError("file", message, retryable=False)
    item = {"item": encode(context.item, limit=MAX_AGGREGATE), "item_index": context.item_index}
    return msgspec.json.encode(
        {
            "name": context.node_id,
            "code": code,
            "memory": options.memory,
            "timeout": None if context.timeout is None else _earlier(context.timeout),
            "scope": {
                "inputs": context.raw_inputs,
                # A handler would get the outputs of the whole graph, and may need the memory.
                "nodes": dict(context.raw_nodes) if "nodes" in code else {},
                "run": encode(context.run),
                "env": dict(context.env),
                **(item if context.item_index is not None else {}),
                **({"secrets": dict(context.secrets)} if context.secrets else {}),
            },
        }
    )


def _earlier(timeout: float) -> float:
    return max(timeout - _MARGIN, timeout * 0.9)


def _outputs(reply: bytes) -> Raw:
    answer = msgspec.json.decode(reply, type=dict[str, msgspec.Raw])
    if "error" in answer:
        error: dict[str, Any] = msgspec.json.decode(answer["error"])
        raise NodeError(error["type"], error["message"])
    try:
        return parse(bytes(answer["outputs"]))
    except NotJson as problem:
        raise NodeError("output", f"the outputs cannot be kept: {problem}") from problem

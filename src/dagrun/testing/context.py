"""What an executor is called with in a test: a context of given values."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from dagrun.domain.document.catalogue import structure_options
from dagrun.domain.jsonvalue import MAX_AGGREGATE, Raw, decode, encode
from dagrun.domain.workflow import JSON
from dagrun.errors import NodeError, sole
from dagrun.ports.children import Child, Children, ChildRequest
from dagrun.ports.executor import TAIL, Suspended, Traits, attempt_env, attempt_facts
from dagrun.ports.processes import Process, Processes
from dagrun.services.processes import open_processes


@attrs.define
class MemoryLog:
    """A node's log in memory. Implements :class:`~dagrun.ports.executor.NodeLog`."""

    data: bytearray = attrs.field(factory=bytearray)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self.data += data

    def tail(self) -> bytes:
        """Give the end of it."""
        return bytes(self.data[-TAIL:])

    def text(self) -> str:
        """Give all that was logged."""
        return self.data.decode(errors="replace")


class NoChildren:
    """Starts nothing. Implements :class:`~dagrun.ports.children.Children`."""

    async def start(self, request: ChildRequest) -> Child:
        """Refuse."""
        message = f"no run of {request.workflow_id} can be started here"
        raise NodeError("workflow", message, retryable=False)


class NoProcesses:
    """Starts nothing. Implements :class:`~dagrun.ports.processes.Processes`."""

    async def spawn(self, *_: object, **__: object) -> Process:
        """Refuse."""
        raise AssertionError("a context that starts processes is made by open_context()")


@attrs.define(kw_only=True)
class FakeContext:
    """A context of given values. Implements :class:`~dagrun.ports.executor.Context`.

    It starts no processes; for an executor that needs some, use :func:`open_context`.
    """

    options: Any
    """What :func:`options_of` gives."""

    scratch: Path
    processes: Processes = attrs.field(factory=NoProcesses)
    children: Children = attrs.field(factory=NoChildren)
    run_id: str = "run-1"
    workflow_id: str = "workflow"
    version: str = "1.0.0"
    node_id: str = "node"
    item_index: int | None = None
    item: JSON = None
    attempt: int = 1
    epoch: int = 1
    idempotency_key: str = "run-1/node"
    _inputs: Mapping[str, JSON] = attrs.field(factory=dict)
    nodes: Mapping[str, JSON] = attrs.field(factory=dict)
    document_env: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict)
    log: MemoryLog = attrs.field(factory=MemoryLog)
    base: Path | None = None
    timeout: float | None = None
    kill_after: float = 0.2

    @property
    def inputs(self) -> Mapping[str, JSON]:
        """A copy of the inputs."""
        inputs: Mapping[str, JSON] = decode(self.raw_inputs)
        return inputs

    @property
    def raw_inputs(self) -> Raw:
        """The inputs as JSON text."""
        return encode(self._inputs, limit=MAX_AGGREGATE)

    @property
    def raw_nodes(self) -> Mapping[str, Raw]:
        """The outputs of the dependencies as JSON text."""
        return {name: encode(value) for name, value in self.nodes.items()}

    @property
    def run(self) -> Mapping[str, JSON]:
        """What Lua sees as ``run``."""
        return {
            "id": self.run_id,
            "workflow_id": self.workflow_id,
            "version": self.version,
            **attempt_facts(self),
        }

    @property
    def env(self) -> Mapping[str, str]:
        """The document's variables and dagrun's own."""
        return {**self.document_env, **attempt_env(self)}


@asynccontextmanager
async def open_context(options: Any, scratch: Path, **fields: Any) -> AsyncIterator[FakeContext]:
    """Make a context whose processes end with the block.

    Args:
        options: what :func:`options_of` gives.
        scratch: the run's directory, such as pytest's ``tmp_path``.
        fields: of :class:`FakeContext`.
    """
    try:
        async with open_processes() as processes:
            yield FakeContext(options=options, scratch=scratch, processes=processes, **fields)
    except BaseExceptionGroup as group:
        raise sole(group) from None  # so that a failing test shows what failed, and no nursery


def options_of(executor: Any, /, **options: JSON) -> Any:
    """Give what an executor finds in ``context.options`` when a document says ``options``.

    Args:
        executor: the class, or what else stands on the shelf.
        options: as in a document, with all ``${…}`` filled in.

    Raises:
        ValueError: they do not fit, with the words that ``dagrun validate`` has for it.
    """
    return structure_options(Traits.of(executor).options, options)


def outputs_of(result: Mapping[str, JSON] | Raw | Suspended) -> Any:
    """Give an executor's result as Python values.

    Raises:
        TypeError: there is none yet, as the node waits for a run.
    """
    if isinstance(result, Suspended):
        raise TypeError(f"the node waits for run {result.child}")
    return decode(result) if isinstance(result, Raw) else dict(result)

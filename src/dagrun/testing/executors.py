# ruff: noqa: S101, SIM117, ASYNC110, ASYNC240 — these are tests; they poll what other processes do
"""What every executor must do, as tests to inherit, and a context to call one with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from dagrun.domain.jsonvalue import Raw, decode, encode
from dagrun.domain.workflow import JSON
from dagrun.errors import NodeError
from dagrun.ports.executor import Executor
from dagrun.ports.processes import Processes
from dagrun.services.processes import open_processes

LIMIT = 10.0  # seconds that no test of the suite comes near


@attrs.define
class MemoryLog:
    """A node's log in memory. Implements :class:`~dagrun.ports.executor.NodeLog`."""

    data: bytearray = attrs.field(factory=bytearray)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self.data += data

    def text(self) -> str:
        """Give all that was logged."""
        return self.data.decode(errors="replace")


@attrs.define(kw_only=True)
class FakeContext:
    """A context of given values. Implements :class:`~dagrun.ports.executor.Context`."""

    options: Any
    scratch: Path
    processes: Processes
    run_id: str = "run-1"
    workflow_id: str = "workflow"
    version: str = "1.0.0"
    node_id: str = "node"
    item_index: int | None = None
    item: JSON = None
    attempt: int = 1
    epoch: int = 1
    idempotency_key: str = "run-1/node"
    inputs: Mapping[str, JSON] = attrs.field(factory=dict)
    nodes: Mapping[str, JSON] = attrs.field(factory=dict)
    document_env: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict)
    log: MemoryLog = attrs.field(factory=MemoryLog)
    base: Path | None = None
    timeout: float | None = None
    kill_after: float = 0.2

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
            "node_id": self.node_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "idempotency_key": self.idempotency_key,
        }

    @property
    def env(self) -> Mapping[str, str]:
        """The document's variables and dagrun's own."""
        return {
            **self.document_env,
            "DAGRUN_RUN_ID": self.run_id,
            "DAGRUN_NODE_ID": self.node_id,
            "DAGRUN_ATTEMPT": str(self.attempt),
            "DAGRUN_EPOCH": str(self.epoch),
            "DAGRUN_IDEMPOTENCY_KEY": self.idempotency_key,
        }


def outputs_of(result: Mapping[str, JSON] | Raw) -> Any:
    """Give an executor's result as Python values."""
    return decode(result) if isinstance(result, Raw) else dict(result)


@asynccontextmanager
async def entered(executor: Executor) -> AsyncIterator[Executor]:
    """Enter an executor as an engine does, if it can be entered."""
    async with AsyncExitStack() as stack:
        if hasattr(executor, "__aenter__"):
            await stack.enter_async_context(executor)  # type: ignore[arg-type]  # just asked
        yield executor


class ExecutorSuite:
    """Inherit it, and say how the executor is told to do the things below.

    Each method that is not given here as a test returns the executor's options; one that
    returns None leaves its test out, for what the executor cannot do.
    """

    def executor(self) -> Executor:
        """Make the executor."""
        raise NotImplementedError

    def gives(self) -> Any:
        """Give the outputs ``{"answer": 42}``, perhaps with more."""
        raise NotImplementedError

    def answer_of(self, outputs: Any) -> Any:
        """Find the 42, for an executor that cannot give it at the top of its outputs."""
        return outputs["answer"]

    def fails(self) -> tuple[Any, str] | None:
        """Fail; the options, and the error's type."""
        return None

    def prints(self) -> Any:
        """Print ``hello from the node``."""
        return None

    def hangs(self) -> Any:
        """Write the process id to the file ``pid`` in the scratch directory, and hang."""
        return None

    def floods(self) -> Any:
        """Give outputs of more than a mebibyte of JSON."""
        return None

    def tells_environment(self) -> Any:
        """Give the outputs ``{"names": […]}``: the names of all environment variables."""
        return None

    def tells_secret(self) -> Any:
        """Give the outputs ``{"value": …}``: what the secret ``API_KEY`` is."""
        return None

    @asynccontextmanager
    async def context(self, options: Any, scratch: Path) -> AsyncIterator[FakeContext]:
        """Make a context whose processes end with the block."""
        async with open_processes() as processes:
            yield FakeContext(options=options, scratch=scratch, processes=processes)

    async def test_outputs_are_given(self, tmp_path: Path) -> None:
        """The outputs are an object of JSON values."""
        async with self.context(self.gives(), tmp_path) as context:
            async with entered(self.executor()) as executor:
                assert self.answer_of(outputs_of(await executor.execute(context))) == 42

    async def test_a_failure_is_typed(self, tmp_path: Path) -> None:
        """A failure is a NodeError with a type and a message."""
        if (case := self.fails()) is None:
            return
        async with self.context(case[0], tmp_path) as context:
            async with entered(self.executor()) as executor:
                error = await _failure(executor, context)
        assert error.type == case[1]
        assert error.message

    async def test_what_is_printed_arrives_in_the_log(self, tmp_path: Path) -> None:
        """All that was printed is in the log when the call returns."""
        if (options := self.prints()) is None:
            return
        async with self.context(options, tmp_path) as context:
            async with entered(self.executor()) as executor:
                await executor.execute(context)
            assert "hello from the node" in context.log.text()

    async def test_cancelling_stops_the_work_and_leaves_no_process(self, tmp_path: Path) -> None:
        """When a cancelled call returns, its process is gone."""
        if (options := self.hangs()) is None:
            return
        async with self.context(options, tmp_path) as context:
            async with entered(self.executor()) as executor:
                with trio.fail_after(LIMIT):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(executor.execute, context)
                        pid = await written_pid(tmp_path / "pid")
                        nursery.cancel_scope.cancel()
                assert not is_running(pid)

    async def test_outputs_over_the_limit_fail(self, tmp_path: Path) -> None:
        """More than a mebibyte of outputs fails the node; the engine checks mappings itself."""
        if (options := self.floods()) is None:
            return
        async with self.context(options, tmp_path) as context:
            async with entered(self.executor()) as executor:
                assert (await _failure(executor, context)).type == "output"

    async def test_the_environment_is_built_not_inherited(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine's own variables stay with the engine; the document's arrive."""
        if (options := self.tells_environment()) is None:
            return
        monkeypatch.setenv("ENGINE_ONLY", "private")
        async with self.context(options, tmp_path) as context:
            context.document_env = {"FROM_DOCUMENT": "1"}
            async with entered(self.executor()) as executor:
                names = outputs_of(await executor.execute(context))["names"]
        assert {"PATH", "FROM_DOCUMENT", "DAGRUN_RUN_ID", "DAGRUN_IDEMPOTENCY_KEY"} <= set(names)
        assert "ENGINE_ONLY" not in names

    async def test_secrets_arrive(self, tmp_path: Path) -> None:
        """The node's code gets the values of its secrets, and finds none of an earlier node."""
        if (options := self.tells_secret()) is None:
            return
        async with self.context(options, tmp_path) as context:
            async with entered(self.executor()) as executor:
                for value in ("one ' \" \\ ü", "two\nlines"):
                    context.secrets = {"API_KEY": value}
                    assert outputs_of(await executor.execute(context))["value"] == value
                context.secrets = {}
                assert outputs_of(await executor.execute(context)).get("value") is None


async def _failure(executor: Executor, context: FakeContext) -> NodeError:
    with pytest.raises(NodeError) as caught:
        await executor.execute(context)
    return caught.value


async def written_pid(path: Path) -> int:
    """Wait until a process has written its id to a file, and give it."""
    with trio.fail_after(LIMIT):
        while not (path.exists() and path.read_text().endswith("\n")):
            await trio.sleep(0.005)
    return int(path.read_text())


def is_running(pid: int) -> bool:
    """Whether a process exists; one that only waits for its parent to take note does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"

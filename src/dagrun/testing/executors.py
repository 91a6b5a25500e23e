# ruff: noqa: S101, ASYNC110, ASYNC240 — these are tests; they poll what other processes do
"""What every executor must do, as tests to inherit.

The tests are async: pytest-trio has to be installed, and ``trio_mode = true`` to be set.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from dagrun.domain.jsonvalue import NotJson, Raw, decode, encode
from dagrun.domain.workflow import JSON, Durability
from dagrun.errors import NodeError
from dagrun.plugin import entering
from dagrun.ports.executor import Executor, Suspended, Traits
from dagrun.settings import Settings
from dagrun.testing.context import FakeContext, MemoryLog, open_context, options_of, outputs_of
from dagrun.testing.limits import WHOLE

__all__ = [
    "ExecutorSuite",
    "FakeContext",
    "MemoryLog",
    "entered",
    "is_running",
    "open_context",
    "options_of",
    "outputs_of",
    "written_pid",
]

LIMIT = 10.0  # seconds that no test of the suite comes near
QUIET = 0.5  # seconds for which what should have ended is watched


@asynccontextmanager
async def entered(executor: Executor) -> AsyncIterator[Executor]:
    """Enter an executor as an engine does, if it can be entered; for a minute at most.

    Raises:
        trio.TooSlowError: the block takes longer.
    """
    with trio.fail_after(WHOLE):
        async with AsyncExitStack() as stack:
            yield await entering.entered(stack, executor)


class ExecutorSuite:
    """Inherit it, and say how the executor is told to do the things below.

    Each method that is not given here as a test returns the executor's options; one that
    returns None has its test skipped, for what the executor cannot do.
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
        """Print the words ``hello from the node``."""
        return None

    def hangs(self) -> Any:
        """Write the process id to the file ``pid`` in the scratch directory, and hang."""
        return None

    def works(self) -> Any:
        """Work or wait for a minute inside this process, in the loop or in a thread."""
        return None

    def floods(self) -> Any:
        """Give outputs of more than a mebibyte of JSON."""
        return None

    def names_of(self, outputs: Any) -> Any:
        """Find the names of variables in what :meth:`tells_environment` gives."""
        return outputs["names"]

    def secret_of(self, outputs: Any) -> Any:
        """Find the secret, or None, in what :meth:`tells_secret` gives."""
        return outputs.get("value")

    def tells_environment(self) -> Any:
        """Give the outputs ``{"names": […]}``: the names of all environment variables."""
        return None

    def tells_secret(self) -> Any:
        """Give the outputs ``{"value": …}``: what the secret ``API_KEY`` is."""
        return None

    @asynccontextmanager
    async def context(self, options: Any, scratch: Path) -> AsyncIterator[FakeContext]:
        """Make a context whose processes end with the block."""
        async with open_context(options, scratch) as context:
            yield context

    async def test_the_class_says_what_it_needs(self) -> None:
        """The class attributes are what :class:`~dagrun.ports.executor.Traits` says of them."""
        traits = Traits.of(type(self.executor()))
        if traits.options is not None and not isinstance(traits.options, Mapping):
            assert attrs.has(traits.options), "options is an attrs class or a JSON Schema"
        assert isinstance(traits.durability, Durability)
        assert callable(traits.uses_process) or isinstance(traits.uses_process, bool)
        assert isinstance(traits.literal_options, frozenset)
        assert set(traits.settings) <= {field.name for field in attrs.fields(Settings)}

    async def test_the_options_can_be_written_in_a_document(self) -> None:
        """What an executor is tested with, it can also be told by a document."""
        options = self.gives()
        assert options_of(type(self.executor()), **_as_written(options)) == options

    async def test_outputs_are_given(self, tmp_path: Path) -> None:
        """The outputs are an object of JSON values."""
        async with (
            self.context(self.gives(), tmp_path) as context,
            entered(self.executor()) as executor,
        ):
            assert self.answer_of(outputs_of(await executor.execute(context))) == 42

    async def test_a_failure_is_typed(self, tmp_path: Path) -> None:
        """A failure is a NodeError with a type and a message."""
        if (case := self.fails()) is None:
            pytest.skip("it is not said how the executor is told to fail")
        async with self.context(case[0], tmp_path) as context, entered(self.executor()) as executor:
            error = await _failure(executor, context)
        assert error.type == case[1]
        assert error.message

    async def test_what_is_printed_arrives_in_the_log(self, tmp_path: Path) -> None:
        """All that was printed is in the log when the call returns."""
        if (options := self.prints()) is None:
            pytest.skip("it is not said how the executor is told to print")
        async with self.context(options, tmp_path) as context:
            async with entered(self.executor()) as executor:
                await executor.execute(context)
            assert "hello from the node" in context.log.text()

    async def test_cancelling_stops_the_work_and_leaves_no_process(self, tmp_path: Path) -> None:
        """When a cancelled call returns, its process is gone."""
        if (options := self.hangs()) is None:
            pytest.skip("it is not said how the executor is told to start a process that hangs")
        async with self.context(options, tmp_path) as context, entered(self.executor()) as executor:
            with trio.fail_after(LIMIT):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(executor.execute, context)
                    pid = await written_pid(tmp_path / "pid")
                    nursery.cancel_scope.cancel()
            assert not is_running(pid)

    @pytest.mark.parametrize("delay", [0.0, 0.02, 0.2])
    async def test_cancelling_stops_work_inside_the_process(
        self, tmp_path: Path, delay: float
    ) -> None:
        """A call that is cancelled at any moment returns soon, nothing of it goes on, and the
        next node is served.
        """
        if (options := self.works()) is None:
            pytest.skip("it is not said how the executor is told to work for long")
        threads = trio.to_thread.current_default_thread_limiter()
        async with self.context(options, tmp_path) as context, entered(self.executor()) as executor:
            began, busy = trio.current_time(), threads.borrowed_tokens
            with trio.move_on_after(delay) as scope:
                await executor.execute(context)
            assert scope.cancelled_caught, "it ended early, or kept trio.Cancelled to itself"
            assert trio.current_time() - began < LIMIT
            assert await _processor_time(QUIET) < QUIET / 10
            assert threads.borrowed_tokens == busy, "a thread goes on"
            context.options = self.gives()
            assert self.answer_of(outputs_of(await executor.execute(context))) == 42

    async def test_several_nodes_are_served_at_once(self, tmp_path: Path) -> None:
        """One object carries out all nodes of an engine."""
        answers = []

        async def ask(executor: Executor, number: int) -> None:
            (scratch := tmp_path / str(number)).mkdir()
            async with self.context(self.gives(), scratch) as context:
                answers.append(self.answer_of(outputs_of(await executor.execute(context))))

        async with entered(self.executor()) as executor, trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, executor, number)
        assert answers == [42] * 5

    async def test_outputs_over_the_limit_fail(self, tmp_path: Path) -> None:
        """More than a mebibyte of outputs fails the node, if not here, then in the engine."""
        if (options := self.floods()) is None:
            pytest.skip("it is not said how the executor is told to give too much")
        async with self.context(options, tmp_path) as context, entered(self.executor()) as executor:
            assert (await _failure(executor, context)).type == "output"

    async def test_the_environment_is_built_not_inherited(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine's own variables stay with the engine; the document's arrive."""
        if (options := self.tells_environment()) is None:
            pytest.skip("it is not said how the executor is told to tell its environment")
        monkeypatch.setenv("ENGINE_ONLY", "private")
        async with self.context(options, tmp_path) as context:
            context.document_env = {"FROM_DOCUMENT": "1"}
            async with entered(self.executor()) as executor:
                names = self.names_of(outputs_of(await executor.execute(context)))
        assert {"PATH", "FROM_DOCUMENT", "DAGRUN_RUN_ID", "DAGRUN_IDEMPOTENCY_KEY"} <= set(names)
        assert "ENGINE_ONLY" not in names

    async def test_secrets_arrive(self, tmp_path: Path) -> None:
        """The node's code gets the values of its secrets, and finds none of an earlier node."""
        if (options := self.tells_secret()) is None:
            pytest.skip("it is not said how the executor is told to tell a secret")
        async with self.context(options, tmp_path) as context, entered(self.executor()) as executor:
            for value in ("one ' \" \\ ü", "two\nlines"):
                context.secrets = {"API_KEY": value}
                assert self.secret_of(outputs_of(await executor.execute(context))) == value
            context.secrets = {}
            assert self.secret_of(outputs_of(await executor.execute(context))) is None


async def _failure(executor: Executor, context: FakeContext) -> NodeError:
    with pytest.raises(NodeError) as caught:
        await _as_an_engine_does(executor, context)
    return caught.value


async def _as_an_engine_does(executor: Executor, context: FakeContext) -> None:
    """Call an executor, and refuse a mapping that cannot be kept. Text counts as checked."""
    outputs = await executor.execute(context)
    try:
        outputs if isinstance(outputs, Raw | Suspended) else encode(dict(outputs))
    except NotJson as error:
        raise NodeError("output", str(error)) from error


def _as_written(options: Any) -> Mapping[str, JSON]:
    """Give options as they come out of a document that leaves out defaults."""
    if not attrs.has(type(options)):
        return dict(options)
    defaults = {field.name: field.default for field in attrs.fields(type(options))}
    given = attrs.asdict(options, filter=lambda field, value: defaults.get(field.name) != value)
    written: Mapping[str, JSON] = decode(encode(given))
    return written


async def _processor_time(seconds: float) -> float:
    """Give how much processor time this process takes for a while."""
    before = time.process_time()
    await trio.sleep(seconds)
    return time.process_time() - before


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

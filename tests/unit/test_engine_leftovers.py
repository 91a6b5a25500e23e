"""What runs leave on the disk of an engine that they only pass through."""

import math
import time
from datetime import timedelta

import pytest
import trio

from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import encode
from dagrun.domain.plan import Handling
from dagrun.domain.state import RunState
from dagrun.domain.workflow import ExecutorSpec
from dagrun.ports.executor import Suspended
from dagrun.ports.store import Message, MessageKind
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.testing.drive import START, make_node, make_plan

RESUME = Message(number=1, kind=MessageKind.RESUME)
PROCESS = Handling(strict=False, limited=True)


class Feed:
    """Takes events, all of which are durable at once."""

    def append(self, events, taken=()):
        pass

    def durable(self, _run_id):
        return 10**6

    async def wait_durable(self, _run_id, _seq):
        await trio.lowlevel.checkpoint()

    def has_room(self):
        return True

    def fenced(self):
        return False

    def forget(self, _run_id):
        pass


class Writes:
    """Writes a file, does what it is told, and writes another one when it is stopped."""

    def __init__(self):
        self.folders = []

    async def execute(self, context):
        self.folders.append(context.scratch)
        (context.scratch / "file").touch()
        if context.options == "wait":
            return Suspended(child="child", version="1.0.0")
        try:
            await trio.sleep(math.inf if context.options == "hang" else 10)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)  # as for ``kill_after``
                (context.scratch / "last").touch()
        return {}


class Rig:
    def __init__(self, nursery, scratch):
        self.nursery, self.scratch = nursery, scratch
        self.executor, self.gone, self.left_it = Writes(), [], trio.Event()

    async def open(self):
        workshop = Workshop(
            executors={"x": self.executor},
            structure=lambda _name, options: options["do"],
            processes=None,
            logs=None,
            scratch=ScratchSpace(self.scratch),
            passing=True,
        )
        self.engine = Engine(
            name="e",
            journal=Feed(),
            workshop=workshop,
            parallel=2,
            listener=self,
            now=lambda: START + timedelta(seconds=trio.current_time()),
        )
        await self.nursery.start(self.engine.run)
        return self

    def left(self, state, _abandoned):
        self.gone.append(str(state.status))
        self.left_it.set()

    def start(self, do="sleep", epoch=1):
        node = make_node("a", executor=ExecutorSpec(type="x", options={"do": do}))
        state = RunState(make_plan(node), RunId("r"), encode({}))
        decide.submit(state, START)
        self.engine.execute(state, epoch=epoch)

    def left_over(self):
        return [path.name for path in self.scratch.rglob("*")]

    async def becomes_empty(self):
        """Wait in real time: files are removed by a thread, which virtual time does not wait for."""
        for _ in range(200):
            if not any(self.scratch.iterdir()):  # what is within may go while it is looked at
                return True
            await trio.to_thread.run_sync(time.sleep, 0.01)
        return False


@pytest.fixture
async def rig(tmp_path, nursery):
    return await Rig(nursery, tmp_path / "scratch").open()


async def test_a_run_that_has_ended_leaves_nothing(rig, autojump_clock):
    rig.start()
    await trio.sleep(5)
    assert rig.left_over() == ["r@1", "file"]
    await trio.sleep(10)
    await rig.left_it.wait()
    assert (rig.gone, await rig.becomes_empty()) == (["succeeded"], True)


async def test_a_run_that_waits_and_is_given_back_leaves_nothing(rig, autojump_clock):
    rig.start("wait")
    await rig.left_it.wait()
    assert (rig.gone, await rig.becomes_empty()) == (["running"], True)
    assert len(rig.executor.folders) == 1


async def test_a_run_that_is_paused_and_given_back_leaves_nothing(rig, autojump_clock):
    rig.start()
    await trio.sleep(1)
    assert await rig.engine.pause(RunId("r"))
    await trio.sleep(8)
    assert rig.gone == []
    await trio.sleep(12)
    assert await rig.becomes_empty()


async def test_a_run_that_is_taken_away_leaves_nothing_once_its_attempts_have_stopped(
    rig, autojump_clock
):
    rig.start()
    await trio.sleep(1)
    rig.engine.abandon(RunId("r"), "it is somebody else's")
    assert rig.engine.holdings() == []
    await trio.sleep(1)
    assert rig.left_over() == ["r@1", "file"]
    await rig.engine.wait_idle()
    assert trio.current_time() == pytest.approx(3)
    assert await rig.becomes_empty()


async def test_a_run_that_comes_back_at_once_keeps_what_it_has_now(rig, autojump_clock):
    rig.start()
    await trio.sleep(1)
    rig.engine.abandon(RunId("r"), "it goes on under another epoch")
    rig.start("hang", epoch=2)
    await trio.sleep(5)
    await trio.to_thread.run_sync(time.sleep, 0.2)
    assert rig.left_over() == ["r@2", "file"]
    assert [folder.name for folder in rig.executor.folders] == ["r@1", "r@2"]


async def test_a_run_that_is_taken_away_as_its_attempt_begins_leaves_nothing(rig, autojump_clock):
    rig.start()
    rig.engine.abandon(RunId("r"), "it is somebody else's")
    await trio.sleep(5)
    assert await rig.becomes_empty()


class Returning(Rig):
    """Gives a paused run back to the engine at once, in the same state, and resumes it."""

    def left(self, state, abandoned):
        super().left(state, abandoned)
        if state.status == "paused":
            state.cache.clear()
            self.engine.execute(state, epoch=2, messages=[RESUME])

    def begin(self, run_id, **does):
        """Start a run of nodes with a process each, one after the other."""
        nodes = []
        for name, do in does.items():
            spec = ExecutorSpec(type="x", options={"do": do})
            nodes.append(make_node(name, *[node.id for node in nodes], executor=spec))
        state = RunState(make_plan(*nodes, handling=PROCESS), RunId(run_id), encode({}))
        decide.submit(state, START)
        self.engine.execute(state, epoch=1)


@pytest.fixture
async def returning(tmp_path, nursery):
    return await Returning(nursery, tmp_path / "scratch").open()


async def test_a_state_that_comes_back_at_once_keeps_the_directory_of_its_new_epoch(
    returning, autojump_clock
):
    returning.begin("r", a="sleep", b="hang")
    await trio.sleep(1)
    assert await returning.engine.pause(RunId("r"))
    await returning.left_it.wait()
    await trio.sleep(5)
    await trio.to_thread.run_sync(time.sleep, 0.2)
    assert returning.left_over() == ["r@2", "file"]


async def test_nothing_starts_of_a_run_that_was_taken_away_when_it_had_come_back(
    returning, autojump_clock
):
    """It stood in line for a place under the epoch before, too."""
    for number in range(2):
        returning.begin(f"busy{number}", a="hang")
    returning.begin("r", a="sleep")
    await trio.sleep(1)
    assert await returning.engine.pause(RunId("r"))
    await returning.left_it.wait()
    returning.engine.abandon(RunId("r"), "it is somebody else's")
    for number in range(2):
        returning.engine.abandon(RunId(f"busy{number}"), "so are these")
    await trio.sleep(5)
    begun = sorted(folder.name for folder in returning.executor.folders)
    assert begun == ["busy0@1", "busy1@1"]

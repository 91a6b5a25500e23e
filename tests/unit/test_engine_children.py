"""The engine, and runs that its nodes start: what it journals, takes up and gives back."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio

from dagrun.builtin.child_runs import WorkflowExecutor, WorkflowOptions
from dagrun.domain import decide
from dagrun.domain.events import Type
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode, encode
from dagrun.domain.plan import Handling, compile_plan
from dagrun.domain.state import RunState
from dagrun.domain.workflow import ExecutorSpec, Handler, RetryPolicy
from dagrun.errors import NodeError
from dagrun.ports.children import Child
from dagrun.ports.store import Message, MessageKind
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.testing.drive import START, make_node, make_workflow

RUN = RunId("r")


class Feed:
    """Takes events, and calls them durable a millisecond later."""

    def __init__(self):
        self.events, self.taken = [], []
        self.waits = trio.Event()

    def append(self, events, taken=()):
        assert events or taken
        self.events += events
        if any(event.type is Type.NODE_WAITING for event in events):
            self.waits.set()
        self.taken += [(one.number, one.epoch, [str(e.type) for e in events]) for one in taken]

    def durable(self, _run_id):
        return 0

    async def wait_durable(self, _run_id, _seq):
        await trio.sleep(0.001)

    def has_room(self):
        return True

    def fenced(self):
        return False

    def forget(self, _run_id):
        pass


class Children:
    """Starts nothing, and says what it was asked for."""

    def __init__(self):
        self.requests, self.delay = [], 0

    async def start(self, request):
        self.requests.append(request)
        await trio.sleep(self.delay)
        if request.workflow_id == "missing":
            raise NodeError("workflow", "no workflow 'missing' is registered", retryable=False)
        return Child(
            run_id=RunId(f"{request.node_id}-{request.item}-{request.attempt}"), version="1.2.0"
        )


class Plain:
    async def execute(self, context):
        await trio.sleep(context.options["sleep"])
        return {}


class Rig:
    def __init__(self, engine, feed, children):
        self.engine, self.feed, self.children = engine, feed, children
        self.left_as = []

    def left(self, state, _abandoned):
        self.left_as.append((str(state.status), trio.current_time()))

    def execute(self, *nodes, events=(), messages=(), lost=False, **fields):
        plan = compile_plan(make_workflow(*nodes, **fields), lambda _: STRICT)
        state = RunState(plan, RUN, encode({"n": 1}))
        if events:
            replay(state, list(events))
        else:
            decide.submit(state, now())
            self.feed.append(state.take_events())
        epoch = state.epoch + bool(events)
        return self.engine.execute(state, epoch=epoch, messages=messages, lost=lost)

    def tell(self, number, kind=MessageKind.CHILD_ENDED, **data):
        return self.engine.tell(RUN, Message(number=number, kind=kind, data=data))

    def types(self, node_id=None):
        return [str(e.type) for e in self.feed.events if e.node_id == node_id]


STRICT = Handling(strict=True, limited=False)


def now():
    return START + timedelta(seconds=trio.current_time())


def ended(node_id="a", child="a-None-1", *, status="succeeded", item=None, attempt=1, **more):
    return {
        "node_id": node_id,
        "item": item,
        "attempt": attempt,
        "run_id": child,
        "status": status,
        **more,
    }


def message(number, kind=MessageKind.CHILD_ENDED, **data):
    return Message(number=number, kind=kind, data=data)


def calls(name="a", *dependencies, executor=None, **fields):
    spec = ExecutorSpec(type="workflow", options={"id": "child", **(executor or {})})
    return make_node(name, *dependencies, executor=spec, **fields)


def plain(name, *dependencies, sleep=1.0, **fields):
    spec = ExecutorSpec(type="plain", options={"sleep": sleep})
    return make_node(name, *dependencies, executor=spec, **fields)


@asynccontextmanager
async def open_rig(tmp_path, feed=None):
    feed, children = feed or Feed(), Children()

    def structure(name, options):
        return WorkflowOptions(**options) if name == "workflow" else options

    async with trio.open_nursery() as nursery:
        engine = Engine(
            name="test",
            journal=feed,
            workshop=Workshop(
                executors={"workflow": WorkflowExecutor(), "plain": Plain()},
                structure=structure,
                processes=None,
                logs=None,
                scratch=ScratchSpace(tmp_path / "scratch"),
                children=children,
            ),
            parallel=2,
            now=now,
            draw=lambda: 0.5,
        )
        await nursery.start(engine.run)
        rig = Rig(engine, feed, children)
        engine._listener = rig
        yield rig
        nursery.cancel_scope.cancel()


@pytest.fixture
async def rig(tmp_path, autojump_clock):
    async with open_rig(tmp_path) as rig:
        yield rig


async def test_a_node_asks_for_its_child_with_all_that_makes_it_one(rig, autojump_clock):
    rig.execute(
        calls(inputs={"x": "${inputs.n + item}"}, for_each=(4,), executor={"version": "^1"})
    )
    await trio.sleep(1)
    (request,) = rig.children.requests
    assert (request.parent, request.epoch, request.node_id) == ("r", 1, "a")
    assert (request.item, request.attempt, request.wait) == (0, 1, True)
    assert (request.workflow_id, request.version) == ("child", "^1")
    assert decode(request.inputs) == {"x": 5}


async def test_a_run_that_only_waits_is_given_back_and_the_end_of_the_child_finds_it_again(
    rig, tmp_path, autojump_clock
):
    nodes = (calls("a"), plain("b", "a", inputs={"n": "${nodes.a.n}"}))
    rig.execute(*nodes)
    await trio.sleep(1)
    assert rig.types("a") == ["node.running", "node.waiting"]
    assert rig.left_as == [("running", pytest.approx(0, abs=0.1))]
    assert not rig.tell(1, **ended())
    assert rig.engine.statistics().runs == 0

    told = message(1, **ended(outputs=encode({"n": 7})))
    async with open_rig(tmp_path) as second:
        execution = second.execute(*nodes, events=rig.feed.events, messages=[told])
        await execution.done.wait()
    assert execution.state.status == "succeeded"
    assert second.children.requests == []
    number, epoch, types = second.feed.taken[0]
    assert (number, epoch) == (1, 2)
    assert "node.succeeded" in types  # what it changed and that it was taken up go together


async def test_a_run_that_has_something_to_do_is_kept_and_told_where_it_is(rig, autojump_clock):
    execution = rig.execute(calls("a"), plain("b", sleep=5.0), outputs={"n": "${nodes.a.n}"})
    await trio.sleep(1)
    assert rig.left_as == []
    assert rig.tell(1, **ended(outputs=encode({"n": 7})))
    await execution.done.wait()
    assert bytes(execution.state.outputs) == b'{"n":7}'
    assert rig.feed.taken[0][0] == execution.seen == 1


async def test_a_message_that_changes_nothing_is_taken_up_all_the_same(rig, autojump_clock):
    rig.execute(calls("a"), plain("b", sleep=5.0))
    await trio.sleep(1)
    assert rig.tell(1, **ended(child="another"))
    assert rig.tell(1, **ended(child="another"))  # given twice
    assert rig.feed.taken == [(1, 1, [])]


async def test_a_message_comes_just_before_the_run_is_given_back(rig, autojump_clock):
    execution = rig.execute(calls("a"))
    await rig.feed.waits.wait()
    assert rig.tell(1, **ended())
    await execution.done.wait()
    assert [status for status, _ in rig.left_as] == ["succeeded"]


async def test_a_child_that_ends_before_its_start_is_journaled_is_not_forgotten(
    rig, autojump_clock
):
    rig.children.delay = 5
    execution = rig.execute(calls("a"))
    await trio.sleep(1)
    assert rig.tell(1, **ended(outputs=encode({"n": 7})))
    assert rig.feed.taken == []
    await execution.done.wait()
    assert rig.types("a") == ["node.running", "node.waiting", "node.succeeded"]
    assert rig.feed.taken[0][:2] == (1, 1)


async def test_a_child_ends_while_the_engine_is_lost_that_asked_for_it(
    rig, tmp_path, autojump_clock
):
    rig.children.delay = 99
    rig.execute(calls("a"))
    await trio.sleep(1)
    assert rig.types("a") == ["node.running"]
    async with open_rig(tmp_path) as second:
        execution = second.execute(
            calls("a"), events=rig.feed.events, messages=[message(1, **ended())], lost=True
        )
        await execution.done.wait()
        assert second.children.requests[0].attempt == 1
        assert execution.state.status == "succeeded"
        assert second.types("a") == ["node.running", "node.waiting", "node.succeeded"]


async def test_a_child_that_cannot_be_started_fails_its_node(rig, autojump_clock):
    retry = RetryPolicy(max_attempts=3, first_delay=1)
    execution = rig.execute(calls("a", executor={"id": "missing"}, retry=retry))
    await execution.done.wait()
    assert execution.state.node("a").error["message"] == "no workflow 'missing' is registered"
    assert len(rig.children.requests) == 1


async def test_each_attempt_has_a_child_of_its_own(rig, autojump_clock):
    retry = RetryPolicy(max_attempts=2, first_delay=5, jitter=0)
    execution = rig.execute(calls("a", retry=retry))
    await trio.sleep(1)
    assert [status for status, _ in rig.left_as] == ["running"]
    rig.execute(calls("a", retry=retry), events=rig.feed.events)
    failure = {"error": {"type": "x", "message": "y"}}
    rig.tell(1, **ended(status="failed", **failure))
    await trio.sleep(1)
    assert rig.types("a")[-1] == "node.retrying"
    assert len(rig.left_as) == 1  # a delay keeps the run
    await trio.sleep(6)
    assert [request.attempt for request in rig.children.requests] == [1, 2]
    assert len(rig.left_as) == 2
    assert execution.state is not None


async def test_a_node_that_does_not_wait_succeeds_with_the_id_of_the_run(rig, autojump_clock):
    execution = rig.execute(calls("a", executor={"wait": False}))
    await execution.done.wait()
    assert not rig.children.requests[0].wait
    assert decode(execution.state.node("a").outputs) == {"run_id": "a-None-1", "version": "1.2.0"}


async def test_a_handler_starts_a_run_and_cannot_wait_for_it(rig, autojump_clock):
    specs = [ExecutorSpec(type="workflow", options={"id": "c", "wait": w}) for w in (True, False)]
    handlers = {"success": Handler(executor=specs[0]), "exit": Handler(executor=specs[1])}
    execution = rig.execute(plain("a"), handlers=handlers)
    await execution.done.wait()
    first, second = execution.state.due
    assert first.error == {"type": "workflow", "message": "a handler cannot wait for a run"}
    assert second.status == "succeeded"


async def test_nothing_starts_of_a_run_with_a_request_to_cancel(rig, tmp_path, autojump_clock):
    rig.execute(calls("a"), plain("b", "a"))
    await trio.sleep(1)
    messages = [message(1, **ended()), message(2, MessageKind.CANCEL, reason="timeout")]
    async with open_rig(tmp_path) as second:
        nodes = (calls("a"), plain("b", "a"))
        execution = second.execute(*nodes, events=rig.feed.events, messages=messages)
        await execution.done.wait()
    assert execution.state.status == "cancelled"
    assert execution.state.reason == "requested"  # only its own engine says that time is over
    assert second.types("a") == ["node.succeeded"]
    assert second.types("b") == []
    assert [number for number, *_ in second.feed.taken] == [1, 2]


async def test_pause_and_resume_are_taken_up_in_their_order(rig, tmp_path, autojump_clock):
    rig.execute(calls("a"), plain("b", "a"))
    await trio.sleep(1)
    kinds = (MessageKind.PAUSE, MessageKind.RESUME, MessageKind.PAUSE)
    messages = [message(number, kind) for number, kind in enumerate(kinds, 1)]
    messages.append(message(4, **ended()))
    async with open_rig(tmp_path) as second:
        nodes = (calls("a"), plain("b", "a"))
        execution = second.execute(*nodes, events=rig.feed.events, messages=messages)
        await trio.sleep(1)
        assert second.left_as[0][0] == "paused"
    assert second.types("a") == ["node.succeeded"]
    assert second.types("b") == []
    assert execution.seen == 4


async def test_a_posted_request_stops_what_runs_and_waits_for_children(rig, autojump_clock):
    rig.execute(calls("a"), plain("b", sleep=99.0))
    await trio.sleep(1)
    assert rig.tell(1, MessageKind.CANCEL)
    await trio.sleep(1)
    assert rig.types("b") == ["node.running", "node.cancelled"]
    assert [status for status, _ in rig.left_as] == ["cancelling"]  # parked: nothing is to be done
    assert "run.cancelled" not in rig.types()


async def test_a_run_whose_time_is_over_while_it_waits_is_cancelled_by_its_next_engine(
    rig, tmp_path, autojump_clock
):
    rig.execute(calls("a"), timeout=10.0)
    await trio.sleep(20)
    assert rig.left_as[0][1] < 1
    async with open_rig(tmp_path) as second:
        second.execute(calls("a"), events=rig.feed.events, timeout=10.0)
        await trio.sleep(1)
        assert second.types() == ["run.running", "run.cancelling"]
        assert second.types("a") == []
        execution = second.execute(
            calls("a"),
            events=[*rig.feed.events, *second.feed.events],
            messages=[message(1, **ended(status="cancelled"))],
            timeout=10.0,
        )
        await execution.done.wait()
    assert execution.state.error["type"] == "timeout"


async def test_a_program_without_children_says_so(tmp_path, rig, autojump_clock):
    rig.engine._workshop = Workshop(
        executors={"workflow": WorkflowExecutor()},
        structure=lambda _, options: WorkflowOptions(**options),
        processes=None,
        logs=None,
        scratch=ScratchSpace(tmp_path),
    )
    execution = rig.execute(calls("a"))
    await execution.done.wait()
    assert execution.state.node("a").error["message"] == "this program cannot start child runs"

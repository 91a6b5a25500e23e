"""What an engine answers to those who ask it beside the stream with its orchestrator."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.lowlevel

from dagrun.domain.events import Type
from dagrun.domain.jsonvalue import Raw
from dagrun.errors import InputError, RemoteError
from dagrun.plugin.loading import load_plugins
from dagrun.ports.engine import EngineReport, Offers
from dagrun.ports.frames import Dispatch, Stop
from dagrun.roles.engine import open_engine
from dagrun.services.attachment import Identity
from dagrun.services.journal.recent import MOST_EVENTS, RecentEvents
from dagrun.settings import Settings
from dagrun.testing.frames import events, from_orchestrator
from dagrun.testing.managed import managed
from dagrun.testing.management import document, node
from dagrun_grpc import grpc
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import (
    EXECUTE_SUB_WORKFLOW,
    EXECUTE_WORKFLOW,
    GET_ENGINE_STATUS,
    STOP_WORKFLOW,
    STREAM_WORKFLOW_EVENTS,
)
from dagrun_grpc.codec import encode
from dagrun_grpc.events import decode_events
from dagrun_grpc.limits import MAX_MESSAGE, Patience
from dagrun_grpc.testing import of_engine
from dagrun_grpc.wire.dagrun import v1

REPORT = EngineReport(
    engine_id="e1",
    instance="i",
    release="0.1",
    status="running",
    capacity=3,
    runs=[("r", 2)],
    offers=Offers(executors=frozenset({"lua", "shell"}), labels={"a": "b"}, resources={"c": 1.5}),
)
DISPATCH = next(
    frame for frame in from_orchestrator() if isinstance(frame, Dispatch) and not frame.more
)


def wire(frame):
    return v1.FromOrchestrator.parse(encode([frame], v1.FromOrchestrator)).frames[0].dispatch


class Engine:
    def __init__(self):
        self.heard, self.why = [], None
        self.events = RecentEvents("i")

    async def hear(self, frame):
        self.heard.append(frame)
        return self.why


@asynccontextmanager
async def asked(engine, report=lambda: REPORT):
    async def hold(channel):
        await channel.receive()

    offered = of_engine(report=report, hear=engine.hear, events=engine.events)
    with trio.fail_after(10):
        async with grpc(port=0) as transport, trio.open_nursery() as nursery, Bridge() as bridge:
            serve = transport.serve_engine
            address = await nursery.start(
                lambda task_status: serve(hold, offered=offered, task_status=task_status)
            )
            asks = Asking(bridge, address, context=None, metadata={}, patience=Patience())
            yield asks
            await asks.close()
            nursery.cancel_scope.cancel()


async def test_an_engine_says_how_it_is():
    async with asked(Engine()) as asks:
        status = (await asks.once(GET_ENGINE_STATUS, v1.GetEngineStatusRequest())).status
    assert (status.engine_id, status.instance, status.release) == ("e1", "i", "0.1")
    assert (status.state, status.capacity) == (v1.EngineStatusState.RUNNING, 3)
    assert [(run.run_id, run.epoch) for run in status.runs] == [("r", 2)]
    assert (status.executors, status.labels, status.resources) == (
        ["lua", "shell"],
        {"a": "b"},
        {"c": 1.5},
    )
    assert status.time_us > 1_700_000_000_000_000


async def test_an_answer_that_is_too_large_harms_this_call_only():
    labels = {"a": "x" * MAX_MESSAGE}
    large = attrs.evolve(REPORT, offers=Offers(executors=frozenset(), labels=labels))
    reports = iter([large, REPORT])
    async with asked(Engine(), report=lambda: next(reports)) as asks:
        with pytest.raises(RemoteError, match=f"at most {MAX_MESSAGE} are possible"):
            await asks.once(GET_ENGINE_STATUS, v1.GetEngineStatusRequest())
        assert await asks.once(GET_ENGINE_STATUS, v1.GetEngineStatusRequest())


@pytest.mark.parametrize("mistake", ["to ask", "to write"])
async def test_a_mistake_is_in_the_log_of_the_server_with_the_call_and_who_made_it(caplog, mistake):
    def wrong():
        if mistake == "to ask":
            raise LookupError("a mistake")
        return attrs.evolve(REPORT, engine_id="\ud800")

    async with asked(Engine(), report=wrong) as asks:
        with pytest.raises(RemoteError, match=r"Error; see the server's log \(INTERNAL\)"):
            await asks.once(GET_ENGINE_STATUS, v1.GetEngineStatusRequest())
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().startswith(f"the call {GET_ENGINE_STATUS.path} of 127.0.0.1:")


@pytest.mark.parametrize(
    ("call", "request_of"),
    [
        (EXECUTE_WORKFLOW, v1.ExecuteWorkflowRequest),
        (EXECUTE_SUB_WORKFLOW, v1.ExecuteSubWorkflowRequest),
    ],
)
async def test_a_run_is_handed_to_the_same_intake_as_on_the_stream(call, request_of):
    engine = Engine()
    async with asked(engine) as asks:
        assert (await asks.once(call, request_of(dispatch=wire(DISPATCH)))).accepted
        engine.why = "it is full"
        refused = await asks.once(call, request_of(dispatch=wire(DISPATCH)))
        assert (refused.accepted, refused.reason) == (False, "it is full")
        with pytest.raises(InputError):
            await asks.once(call, request_of(dispatch=v1.Dispatch(run_id="r", inputs=b"[")))
    assert engine.heard == [DISPATCH, DISPATCH]


async def test_a_run_is_stopped_under_its_epoch():
    engine = Engine()
    async with asked(engine) as asks:
        request = v1.StopWorkflowRequest(run_id="r", epoch=2, reason="enough")
        assert (await asks.once(STOP_WORKFLOW, request)).stopped
        engine.why = "it is not there"
        assert not (await asks.once(STOP_WORKFLOW, request)).stopped
    assert engine.heard == [Stop(run_id="r", epoch=2, reason="enough")] * 2


@asynccontextmanager
async def real(folder):
    """Run an engine, and an orchestrator that it dials; give what asks the engine."""
    with trio.fail_after(20):
        async with (
            managed(folder, lambda: grpc(port=0), engine=False) as world,
            open_engine(
                world.registry,
                Settings(data_dir=folder / "e1", parallel=4),
                identity=Identity(
                    engine_id="e1", instance="i", release="0", capacity=2, executors=("told",)
                ),
                transport=grpc(port=0),
                orchestrator=world.address,
                listens=True,
            ) as working,
            Bridge() as bridge,
        ):
            asks = Asking(bridge, working.address, context=None, metadata={}, patience=Patience())
            while (await status_of(asks)).state is not v1.EngineStatusState.IDLE:  # noqa: ASYNC110 — it tells nobody
                await trio.sleep(0.02)
            yield world, asks
            await asks.close()


async def status_of(asks):
    return (await asks.once(GET_ENGINE_STATUS, v1.GetEngineStatusRequest())).status


async def test_a_real_engine_says_what_it_has_and_stops_it(tmp_path):
    async with real(tmp_path) as (world, asks):
        management = world.leading.management
        await management.workflows.register(document(node("a", gate="never")))
        run = await management.runs.start("w")
        while not (shown := await status_of(asks)).runs:  # noqa: ASYNC110 — as above
            await trio.sleep(0.02)
        assert shown.state is v1.EngineStatusState.RUNNING
        (held,) = shown.runs
        assert held.run_id == run.run_id
        for epoch, stopped in ((held.epoch + 1, False), (held.epoch, True)):
            request = v1.StopWorkflowRequest(run_id=run.run_id, epoch=epoch, reason="enough")
            assert (await asks.once(STOP_WORKFLOW, request)).stopped is stopped
        assert not (await status_of(asks)).runs
        refused = await asks.once(
            EXECUTE_WORKFLOW, v1.ExecuteWorkflowRequest(dispatch=wire(DISPATCH))
        )
        assert (refused.accepted, refused.reason) == (False, "it cannot be executed here")


async def test_an_engine_without_an_orchestrator_takes_no_run(tmp_path):
    registry = load_plugins().registry
    with trio.fail_after(20):
        async with (
            open_engine(
                registry,
                Settings(data_dir=tmp_path, parallel=4),
                identity=Identity(engine_id="e1", instance="i", release="0", capacity=2),
                transport=grpc(port=0),
                orchestrator=None,
            ) as working,
            Bridge() as bridge,
        ):
            asks = Asking(bridge, working.address, context=None, metadata={}, patience=Patience())
            status = (await asks.once(GET_ENGINE_STATUS, v1.GetEngineStatusRequest())).status
            assert status.state is v1.EngineStatusState.UNHEALTHY
            refused = await asks.once(
                EXECUTE_WORKFLOW, v1.ExecuteWorkflowRequest(dispatch=wire(DISPATCH))
            )
            assert (refused.accepted, "no orchestrator" in refused.reason) == (False, True)
            await asks.close()


async def test_durable_events_are_followed_with_where_to_go_on():
    engine, journal = Engine(), events()
    engine.events.add(journal[:2])
    async with asked(engine) as asks:
        request = v1.StreamWorkflowEventsRequest(after="i.1")
        async with asks.stream(STREAM_WORKFLOW_EVENTS, request) as replies:
            first = await anext(replies)
            engine.events.add(journal[2:])
            second = await anext(replies)
        assert first.events.last
        assert decode_events(first.events.data) == journal[1:2]
        assert (first.position, first.missing) == ("i.2", False)
        assert decode_events(second.events.data) == journal[2:]
        engine.events.add(journal * (MOST_EVENTS // len(journal) + 1))
        request = v1.StreamWorkflowEventsRequest(after=second.position)
        async with asks.stream(STREAM_WORKFLOW_EVENTS, request) as replies:
            gap = await anext(replies)
        assert (gap.missing, gap.events) == (True, None)
        request = v1.StreamWorkflowEventsRequest(after="nonsense")
        with pytest.raises(InputError, match="after"):
            await asks.all(STREAM_WORKFLOW_EVENTS, request)


async def test_an_event_that_is_larger_than_a_message_comes_in_parts():
    engine = Engine()
    huge = Raw(b'"%s"' % (b"x" * 2 * MAX_MESSAGE))
    given = events(huge)
    async with asked(engine) as asks:
        request = v1.StreamWorkflowEventsRequest(run_id=given[0].run_id)
        async with asks.stream(STREAM_WORKFLOW_EVENTS, request) as replies:
            engine.events.add(one for one in given if (one.data or {}).get("outputs") is huge)
            data = b""
            while not (reply := await anext(replies)).events.last:
                assert reply.position == ""
                data += reply.events.data
    (event,) = decode_events(data + reply.events.data)
    assert event.data["outputs"] == huge
    assert reply.position == "i.1"


async def test_who_is_too_slow_for_a_window_misses_some_and_costs_nothing():
    engine = Engine()
    large = events(Raw(b'"%s"' % (b"x" * 100_000)))
    request = v1.StreamWorkflowEventsRequest()
    async with asked(engine) as asks, asks.stream(STREAM_WORKFLOW_EVENTS, request) as replies:
        for _ in range(300):
            engine.events.add(large)
            await trio.lowlevel.checkpoint()
        missing = False
        while not missing:
            missing = (await anext(replies)).missing


async def test_what_a_real_engine_tells_is_what_the_orchestrator_has(tmp_path):
    async with real(tmp_path) as (world, asks):
        store = world.leading.store
        async with asks.stream(STREAM_WORKFLOW_EVENTS, v1.StreamWorkflowEventsRequest()) as replies:
            await world.leading.management.workflows.register(document(node("a")))
            run = await world.leading.management.runs.start("w")
            told = []
            while not told or told[-1].type is not Type.RUN_SUCCEEDED:
                told += decode_events((await anext(replies)).events.data)
                stored = await store.events(run.run_id)
                assert all(one in stored for one in told)
    journal = await store.events(run.run_id)
    assert told == [one for one in journal if one.type is not Type.RUN_QUEUED]

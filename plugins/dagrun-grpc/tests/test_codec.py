"""Whatever a frame holds, it is the same after the journey."""

from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import ID_PATTERN
from dagrun.domain.jsonvalue import MAX_DEPTH, Raw, encode
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.frames import (
    Beat,
    BeatSeen,
    ChildStarted,
    Dispatch,
    Drain,
    Durable,
    GivenBack,
    Hello,
    JournalPart,
    LogChunk,
    LogsKept,
    Report,
    StartChild,
    Stop,
    Tell,
    TurnedAway,
    Welcome,
    Why,
)
from dagrun.ports.store import Message, MessageKind
from dagrun.testing.frames import bad_event, from_engine, from_orchestrator
from dagrun.testing.transports import BAD_EVENTS
from dagrun_grpc import codec, parts
from dagrun_grpc.limits import MAX_FRAMES, MAX_MESSAGE
from dagrun_grpc.wire.dagrun import v1

TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
INT = st.integers(-(2**63), 2**63 - 1)
FROM_ONE = st.integers(1, 2**63 - 1)
FROM_ZERO = st.integers(0, 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RAW = JSON.map(encode)
IDS = st.from_regex(ID_PATTERN, fullmatch=True)
DATA = st.dictionaries(TEXT.filter(lambda name: name not in ("outputs", "items")), JSON, max_size=3)
WITH_RAW = st.builds(
    lambda data, raw: {**data, **raw},
    DATA,
    st.fixed_dictionaries({}, optional={"outputs": RAW, "items": RAW}),
)
TIMES = st.datetimes(timezones=st.just(UTC))
MARKS = st.lists(st.tuples(TEXT, INT, INT), max_size=3).map(tuple)
EPOCHS = st.lists(st.tuples(TEXT, INT), max_size=3).map(tuple)
EVENTS = st.lists(
    st.builds(
        Event,
        *(TEXT, FROM_ONE, FROM_ONE, st.sampled_from(Type), TIMES),
        *(st.none() | TEXT, st.none() | FROM_ZERO, st.none() | FROM_ONE, st.none() | WITH_RAW),
    ),
    max_size=3,
).map(tuple)
MESSAGES = st.builds(Message, number=INT, kind=st.sampled_from(MessageKind), data=WITH_RAW)
BY_NAME = {
    "item": st.none() | INT,
    "labels": st.dictionaries(TEXT, TEXT, max_size=3),
    "resources": st.dictionaries(TEXT, FLOAT, max_size=3),
    "lease": FLOAT,
    "executors": st.lists(TEXT, max_size=3).map(tuple),
    "events": EVENTS,
    "inputs": RAW,
    "taken": MARKS,
    "kept": MARKS,
    "runs": MARKS,
    "message": MESSAGES,
    "messages": st.lists(MESSAGES, max_size=2).map(tuple),
    "why": st.sampled_from(Why),
    "error": st.none() | st.fixed_dictionaries({"type": TEXT, "message": TEXT}),
}
BY_TYPE = {int: INT, bool: st.booleans(), bytes: st.binary(max_size=10)}


def built(kind, **others):
    """Build frames of a kind from what its fields are called and hold."""
    known = {**BY_NAME, **others}
    fields = {
        field.name: known.get(field.name, BY_TYPE.get(field.type, TEXT))
        for field in attrs.fields(kind)
    }
    return st.builds(kind, **fields)


REQUEST = built(ChildRequest, version=st.none() | TEXT)
STRATEGIES = {
    v1.FromEngine: [
        built(Hello, held=EPOCHS),
        built(Report),
        built(Beat, held=EPOCHS),
        built(GivenBack),
        built(LogChunk),
        built(StartChild, request=REQUEST),
    ],
    v1.FromOrchestrator: [
        built(Welcome, stopped=EPOCHS),
        built(TurnedAway),
        built(BeatSeen),
        built(Dispatch, run_id=IDS),
        built(JournalPart),
        built(Durable),
        built(LogsKept),
        built(Stop),
        built(Tell),
        built(Drain),
        built(ChildStarted, child=st.none() | built(Child)),
    ],
}


@pytest.mark.parametrize("kind", STRATEGIES)
@given(data=st.data())
def test_frames_are_the_same_after_the_journey(kind, data):
    frames = tuple(data.draw(st.lists(st.one_of(STRATEGIES[kind]), max_size=3)))
    message = codec.parsed(codec.encode(frames, kind), kind)
    assert codec.decode(message) == frames


@pytest.mark.parametrize(
    ("kind", "frames"),
    [(v1.FromEngine, from_engine()), (v1.FromOrchestrator, from_orchestrator())],
)
def test_frames_beyond_a_message_travel_in_parts(kind, frames):
    big = encode({"text": "x" * 3_000_000}, limit=MAX_FRAMES)
    report = Report(events=(Event("r", 1, 1, Type.NODE_SUCCEEDED, NOON, data={"outputs": big}),))
    part = JournalPart(run_id="r", epoch=1, events=report.events, more=False)
    frames = (*frames, report if kind is v1.FromEngine else part)
    messages = list(parts.messages(frames, kind))
    assert len(messages) > 2
    assert max(map(len, messages)) < MAX_MESSAGE
    joiner = parts.Joiner(kind)
    assert [joiner.take(message) for message in messages[:-1]] == [()] * (len(messages) - 1)
    assert joiner.take(messages[-1]) == frames


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def chunk(size):
    return LogChunk(
        run_id="r", epoch=1, node_id="a", attempt=1, item=None, offset=0, data=bytes(size)
    )


@pytest.fixture
def _small(monkeypatch):
    """Make the limits such that tests need not wait for them."""
    monkeypatch.setattr(parts, "PART", 1000)
    monkeypatch.setattr(parts, "MAX_FRAMES", 8000)


@pytest.mark.usefixtures("_small")
def test_frames_beyond_all_parts_travel_one_behind_the_other():
    frames = [chunk(3000)] * 5
    joiner = parts.Joiner(v1.FromEngine)
    arrived = [joiner.take(message) for message in parts.messages(frames, v1.FromEngine)]
    assert [frame for frames in arrived for frame in frames] == frames
    assert sum(map(bool, arrived)) > 1


@pytest.mark.usefixtures("_small")
def test_a_frame_beyond_all_parts_is_refused():
    with pytest.raises(ValueError, match=r"a LogChunk of 80\d\d bytes; at most 8000 are possible"):
        list(parts.messages([chunk(8000)], v1.FromEngine))


def part(data, *, last):
    return bytes(v1.FromEngine(part=v1.Part(data=data, last=last)))


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([b"\x0a\x02\x0a\xff"], "cannot read"),
        ([bytes(v1.FromEngine(frames=[v1.EngineFrame()]))], "another version"),
        ([bytes(v1.FromEngine(frames=[v1.EngineFrame(report=v1.Report(events=b"[["))]))], "cannot"),
        (
            [bytes(v1.FromEngine(frames=[v1.EngineFrame(given_back=v1.GivenBack(why=77))]))],
            "cannot read",
        ),
        (
            [bytes(v1.FromEngine(frames=[v1.EngineFrame(start_child=v1.StartChild(number=1))]))],
            "asks for no child",
        ),
        (
            [
                bytes(
                    v1.FromEngine(
                        frames=[
                            v1.EngineFrame(
                                start_child=v1.StartChild(request=v1.ChildRequest(inputs=b"{"))
                            )
                        ]
                    )
                )
            ],
            "cannot read",
        ),
        ([part(b"x", last=False), b""], "between the parts"),
        ([part(part(b"", last=True), last=True)], "within parts"),
        ([part(bytes(1024 * 1024), last=False)] * 65, "bytes in parts"),
    ],
)
def test_what_is_no_frame_is_refused(messages, what):
    joiner = parts.Joiner(v1.FromEngine)
    with pytest.raises(codec.Malformed, match=what):
        [joiner.take(message) for message in messages]


@pytest.mark.parametrize("bad", BAD_EVENTS)
def test_an_event_that_cannot_be_is_refused(bad):
    message = codec.encode([Report(events=(bad,))], v1.FromEngine)
    with pytest.raises(codec.Malformed, match="cannot read"):
        codec.decode(codec.parsed(message, v1.FromEngine))


@pytest.mark.parametrize("run_id", ["", "../r", "r" * 129])
def test_a_dispatch_of_what_is_no_run_is_refused(run_id):
    dispatch = v1.OrchestratorFrame(dispatch=v1.Dispatch(run_id=run_id, inputs=b"{}"))
    with pytest.raises(codec.Malformed, match="is no id"):
        codec.decode(v1.FromOrchestrator(frames=[dispatch]))


def test_data_as_deep_as_it_may_be_is_read():
    deep = Raw(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    event = bad_event(data={"other": deep})
    message = codec.encode([Report(events=(event,))], v1.FromEngine)
    (report,) = codec.decode(codec.parsed(message, v1.FromEngine))
    assert encode(report.events[0].data["other"]) == deep


def test_a_time_without_a_zone_is_refused():
    row = b'[["r",1,1,"run.queued","2026-01-01T00:00:00",null,null,null,null]]'
    report = v1.FromEngine(frames=[v1.EngineFrame(report=v1.Report(events=row))])
    with pytest.raises(codec.Malformed, match="no zone"):
        codec.decode(report)


def test_what_stays_text_stays_just_as_it_was():
    raw = Raw(b'{ "kept" : [ 1.0,\n 12345678901234567890123 ] }')
    event = Event("r", 1, 1, Type.RUN_SUCCEEDED, NOON, data={"outputs": raw})
    message = codec.encode([Report(events=(event,))], v1.FromEngine)
    (report,) = codec.decode(codec.parsed(message, v1.FromEngine))
    assert bytes(report.events[0].data["outputs"]) == bytes(raw)

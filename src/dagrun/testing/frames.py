"""Frames of each kind, with what is hard to carry."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import attrs

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY, NULL, Raw, encode
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.frames import (
    Beat,
    BeatSeen,
    ChildStarted,
    Dispatch,
    Drain,
    Durable,
    FromEngine,
    FromOrchestrator,
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

RUN: Final = RunId("06dndml8000000000000000000")
NASTY: Final = 'a\0b ü€😀 \u2028 "\\ --; \r\n'
BIG: Final = 2**63 - 1
TIME: Final = datetime(2026, 1, 1, 12, 30, 59, 999_999, tzinfo=UTC)
JSON: Final = encode({"nul": NASTY, "n": [2**70, -0.5, 1e300, True, None], "": [[], {}]})
SPACED: Final = Raw(b'{ "kept" : [ 1.0,\n 12345678901234567890123 ] }')
"""Text that another writer would write otherwise."""

ERROR: Final = {"type": "boom", "message": NASTY}


def events(outputs: Raw = JSON) -> tuple[Event, ...]:
    """Give an event of each type, the data of each as they come, and those with nothing set."""
    data: dict[Type, dict[str, Any] | None] = {
        Type.RUN_QUEUED: {"base": "/a\0b"},
        Type.RUN_RUNNING: {"engine": NASTY},
        Type.RUN_PAUSED: {},
        Type.RUN_ENDING: {"status": "failed", "error": ERROR},
        Type.RUN_SUCCEEDED: {"outputs": SPACED},
        Type.RUN_FAILED: {"error": ERROR},
        Type.NODE_READY: {"when": True, "items": encode([1, "zwei", None])},
        Type.NODE_RETRYING: {"error": ERROR, "delay": 0.1},
        Type.NODE_SUCCEEDED: {"outputs": outputs},
        Type.NODE_FAILED: {"error": ERROR, "number": 2**70},
    }
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    plain = [
        Event(RUN, seq, BIG, kind, TIME, NASTY, 0, BIG, data.get(kind))
        for seq, kind in enumerate(Type, start=1)
    ]
    return (*plain, Event(RUN, BIG, 1, Type.RUN_CANCELLED, TIME.astimezone(elsewhere)))


def bad_event(**fields: Any) -> Event:
    """Give an event that is like any other but for some fields."""
    usual = Event(RUN, 1, 1, Type.NODE_SUCCEEDED, TIME, "a")
    return attrs.evolve(usual, **fields)


def from_engine(outputs: Raw = JSON) -> Sequence[FromEngine]:
    """Give frames of all kinds that an engine sends."""
    return [
        Hello(release="", engine_id="", instance="", capacity=0),
        Hello(
            protocol=BIG,
            release=NASTY,
            engine_id="e",
            instance=NASTY,
            capacity=BIG,
            executors=("", "lua"),
            labels={"": NASTY, NASTY: ""},
            resources={"cpu": 0.0, "gpu": 1e300, "": -0.5},
            draining=True,
            held=((RUN, BIG), (RunId("r"), 1)),
        ),
        Report(),
        Report(events=events(outputs), taken=((RUN, 1, 0), (RunId(""), BIG, BIG)), awaited=True),
        Beat(number=0, held=()),
        Beat(number=BIG, held=((RUN, 1), (RunId("r"), BIG)), draining=True, unhealthy=True),
        *(GivenBack(run_id=RUN, epoch=1, why=why, seen=0) for why in Why),
        GivenBack(run_id=RUN, epoch=BIG, why=Why.PAUSED, seen=BIG, detail=NASTY),
        LogChunk(run_id=RUN, epoch=0, node_id="a", attempt=1, item=None, offset=0, data=b""),
        LogChunk(
            run_id=RUN,
            epoch=BIG,
            node_id=NASTY,
            attempt=2,
            item=0,
            offset=BIG,
            data=bytes(range(256)),
        ),
        StartChild(number=0, request=_request(item=None, version=None, inputs=SPACED)),
        StartChild(number=BIG, request=_request(item=0, version="^1.2", inputs=JSON, wait=False)),
    ]


def from_orchestrator(outputs: Raw = JSON) -> Sequence[FromOrchestrator]:
    """Give frames of all kinds that an orchestrator sends."""
    messages = _messages()
    return [
        Welcome(lease=0.0),
        Welcome(
            lease=15.25,
            kept=((RUN, 1, 0), (RunId("r"), BIG, BIG)),
            stopped=((RUN, BIG),),
        ),
        TurnedAway(reason=""),
        TurnedAway(reason=NASTY, final=True),
        BeatSeen(number=0),
        BeatSeen(number=BIG),
        _dispatch(definition=b"", inputs=EMPTY, events=()),
        _dispatch(definition=b"{}", inputs=NULL, events=()),
        _dispatch(
            definition=b'{"id":"w"}',
            inputs=SPACED,
            events=events(outputs),
            more=True,
            messages=messages,
            lost=True,
        ),
        JournalPart(run_id=RUN, epoch=BIG, events=(), more=False),
        JournalPart(run_id=RUN, epoch=1, events=events(), more=True),
        Durable(runs=()),
        Durable(runs=((RUN, 1, BIG), (RunId("r"), 2, 0))),
        LogsKept(count=0),
        LogsKept(count=BIG),
        Stop(run_id=RUN, epoch=1, reason=NASTY),
        *(Tell(run_id=RUN, epoch=1, message=message) for message in messages),
        Drain(on=True),
        Drain(on=False),
        ChildStarted(number=0),
        ChildStarted(number=1, child=Child(run_id=RUN, version="1.0.0-β")),
        ChildStarted(number=2, error={"type": "", "message": ""}),
        ChildStarted(number=BIG, error=ERROR, retryable=False),
    ]


def _request(**fields: Any) -> ChildRequest:
    return ChildRequest(parent=RUN, epoch=1, node_id=NASTY, attempt=1, workflow_id="w", **fields)


def _dispatch(**fields: Any) -> Dispatch:
    return Dispatch(run_id=RUN, epoch=1, definition_hash="f" * 64, **fields)


def _messages() -> tuple[Message, ...]:
    ended = {"node_id": NASTY, "item": None, "attempt": 1, "run_id": RUN, "status": "succeeded"}
    return (
        Message(number=1, kind=MessageKind.CANCEL, data={"reason": NASTY, "number": 2**70}),
        Message(number=2, kind=MessageKind.PAUSE),
        Message(number=3, kind=MessageKind.RESUME),
        Message(number=BIG, kind=MessageKind.CHILD_ENDED, data={**ended, "outputs": SPACED}),
    )

"""What engines say, on the wire: a pair of functions for each frame."""

from typing import Final

from dagrun.domain.ids import RunId
from dagrun.ports import frames as f
from dagrun.ports.children import ChildRequest
from dagrun_grpc.events import decode_events, encode_events
from dagrun_grpc.fields import (
    Decoders,
    Encoders,
    Malformed,
    json_of,
    of_epochs,
    of_marks,
    to_epochs,
    to_marks,
)
from dagrun_grpc.wire.dagrun import v1

_WHY: Final = {
    f.Why.PAUSED: v1.Why.PAUSED,
    f.Why.PARKED: v1.Why.PARKED,
    f.Why.STOPPED: v1.Why.STOPPED,
    f.Why.UNUSABLE: v1.Why.UNUSABLE,
}
_WHY_BACK: Final = {number: why for why, number in _WHY.items()}


def _to_hello(frame: f.Hello) -> v1.Hello:
    return v1.Hello(
        protocol=frame.protocol,
        release=frame.release,
        engine_id=frame.engine_id,
        instance=frame.instance,
        capacity=frame.capacity,
        executors=list(frame.executors),
        labels=dict(frame.labels),
        resources=dict(frame.resources),
        draining=frame.draining,
        held=to_epochs(frame.held),
    )


def _of_hello(message: v1.Hello) -> f.Hello:
    return f.Hello(
        protocol=message.protocol,
        release=message.release,
        engine_id=message.engine_id,
        instance=message.instance,
        capacity=message.capacity,
        executors=tuple(message.executors),
        labels=message.labels,
        resources=message.resources,
        draining=message.draining,
        held=of_epochs(message.held),
    )


def _to_report(frame: f.Report) -> v1.Report:
    return v1.Report(
        events=encode_events(frame.events), taken=to_marks(frame.taken), awaited=frame.awaited
    )


def _of_report(message: v1.Report) -> f.Report:
    return f.Report(
        events=decode_events(message.events),
        taken=of_marks(message.taken),
        awaited=message.awaited,
    )


def _to_beat(frame: f.Beat) -> v1.Beat:
    return v1.Beat(
        number=frame.number,
        held=to_epochs(frame.held),
        draining=frame.draining,
        unhealthy=frame.unhealthy,
    )


def _of_beat(message: v1.Beat) -> f.Beat:
    return f.Beat(
        number=message.number,
        held=of_epochs(message.held),
        draining=message.draining,
        unhealthy=message.unhealthy,
    )


def _to_given_back(frame: f.GivenBack) -> v1.GivenBack:
    return v1.GivenBack(
        run_id=frame.run_id,
        epoch=frame.epoch,
        why=_WHY[frame.why],
        seen=frame.seen,
        detail=frame.detail,
    )


def _of_given_back(message: v1.GivenBack) -> f.GivenBack:
    return f.GivenBack(
        run_id=RunId(message.run_id),
        epoch=message.epoch,
        why=_WHY_BACK[message.why],
        seen=message.seen,
        detail=message.detail,
    )


def _to_log_chunk(frame: f.LogChunk) -> v1.LogChunk:
    return v1.LogChunk(
        run_id=frame.run_id,
        node_id=frame.node_id,
        attempt=frame.attempt,
        item=frame.item,
        epoch=frame.epoch,
        offset=frame.offset,
        data=frame.data,
    )


def _of_log_chunk(message: v1.LogChunk) -> f.LogChunk:
    return f.LogChunk(
        run_id=RunId(message.run_id),
        node_id=message.node_id,
        attempt=message.attempt,
        item=message.item,
        epoch=message.epoch,
        offset=message.offset,
        data=message.data,
    )


def _to_start_child(frame: f.StartChild) -> v1.StartChild:
    asked = frame.request
    request = v1.ChildRequest(
        parent=asked.parent,
        epoch=asked.epoch,
        node_id=asked.node_id,
        item=asked.item,
        attempt=asked.attempt,
        workflow_id=asked.workflow_id,
        version=asked.version,
        inputs=bytes(asked.inputs),
        wait=asked.wait,
    )
    return v1.StartChild(number=frame.number, request=request)


def _of_start_child(message: v1.StartChild) -> f.StartChild:
    asked = message.request
    if asked is None:
        raise Malformed("it asks for no child")
    request = ChildRequest(
        parent=RunId(asked.parent),
        epoch=asked.epoch,
        node_id=asked.node_id,
        item=asked.item,
        attempt=asked.attempt,
        workflow_id=asked.workflow_id,
        version=asked.version,
        inputs=json_of(asked.inputs),
        wait=asked.wait,
    )
    return f.StartChild(number=message.number, request=request)


ENCODERS: Final[Encoders] = {
    f.Hello: ("hello", _to_hello),
    f.Report: ("report", _to_report),
    f.Beat: ("beat", _to_beat),
    f.GivenBack: ("given_back", _to_given_back),
    f.LogChunk: ("log_chunk", _to_log_chunk),
    f.StartChild: ("start_child", _to_start_child),
}

DECODERS: Final[Decoders] = {
    "hello": _of_hello,
    "report": _of_report,
    "beat": _of_beat,
    "given_back": _of_given_back,
    "log_chunk": _of_log_chunk,
    "start_child": _of_start_child,
}

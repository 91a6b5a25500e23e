"""Frames as messages of the stream, and back: a pair of functions for each frame."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import betterproto2
import msgspec

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw, parse
from dagrun.ports import frames as f
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.store import Message, MessageKind
from dagrun_grpc.events import decode_data, decode_events, encode_data, encode_events
from dagrun_grpc.limits import MAX_FRAMES
from dagrun_grpc.wire.dagrun import v1

Stream = v1.FromEngine | v1.FromOrchestrator
"""What one message of the stream is, in one of its two directions."""

Kind = type[v1.FromEngine] | type[v1.FromOrchestrator]

_WHY: Final = {
    f.Why.PAUSED: v1.Why.PAUSED,
    f.Why.PARKED: v1.Why.PARKED,
    f.Why.STOPPED: v1.Why.STOPPED,
    f.Why.UNUSABLE: v1.Why.UNUSABLE,
}
_KINDS: Final = {
    MessageKind.CANCEL: v1.MessageKind.CANCEL,
    MessageKind.PAUSE: v1.MessageKind.PAUSE,
    MessageKind.RESUME: v1.MessageKind.RESUME,
    MessageKind.CHILD_ENDED: v1.MessageKind.CHILD_ENDED,
}
_WHY_BACK: Final = {number: why for why, number in _WHY.items()}
_KINDS_BACK: Final = {number: kind for kind, number in _KINDS.items()}


_DURABLE: Final = msgspec.json.Decoder(list[tuple[str, int, int]])


class Malformed(ValueError):
    """What arrived is no frame that this dagrun knows."""


def encode(frames: Sequence[f.Frame], kind: Kind) -> bytes:
    """Write frames that travel together as one message, which may be too large for the stream."""
    wrap, encoders = _ENCODERS[kind]
    wrapped = []
    for frame in frames:
        field, to_wire = encoders[type(frame)]
        wrapped.append(wrap(**{field: to_wire(frame)}))
    return bytes(kind(frames=wrapped))


def decode(message: Stream) -> tuple[f.Frame, ...]:
    """Read frames that travelled together.

    Raises:
        Malformed: there is something that this dagrun does not know.
    """
    try:
        return tuple(map(_frame, message.frames))
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise Malformed(f"a frame that this dagrun cannot read ({error})") from error


def parsed(encoded: bytes, kind: Kind) -> Stream:
    """Read a message of the stream.

    Raises:
        Malformed: it is none.
    """
    try:
        return kind.FromString(encoded)
    except Exception as error:
        raise Malformed(f"a message that this dagrun cannot read ({error})") from error


def _frame(wrapped: v1.EngineFrame | v1.OrchestratorFrame) -> f.Frame:
    field, message = betterproto2.which_one_of(wrapped, "frame")
    if message is None:
        raise Malformed("it is of another version")
    frame: f.Frame = _DECODERS[field](message)
    return frame


def _json(text: bytes) -> Raw:
    return parse(text, limit=MAX_FRAMES)


def _marks(marks: Sequence[tuple[RunId, int, int]]) -> list[v1.Mark]:
    return [v1.Mark(run_id=run, epoch=epoch, number=number) for run, epoch, number in marks]


def _unmarked(marks: Sequence[v1.Mark]) -> tuple[tuple[RunId, int, int], ...]:
    return tuple((RunId(mark.run_id), mark.epoch, mark.number) for mark in marks)


def _epochs(runs: Sequence[tuple[RunId, int]]) -> list[v1.RunEpoch]:
    return [v1.RunEpoch(run_id=run, epoch=epoch) for run, epoch in runs]


def _runs(epochs: Sequence[v1.RunEpoch]) -> tuple[tuple[RunId, int], ...]:
    return tuple((RunId(entry.run_id), entry.epoch) for entry in epochs)


def _to_held(held: f.Held) -> v1.Held:
    return v1.Held(
        run_id=held.run_id,
        epoch=held.epoch,
        durable=held.durable,
        last=held.last,
        stopped=held.stopped,
    )


def _of_held(held: v1.Held) -> f.Held:
    return f.Held(
        run_id=RunId(held.run_id),
        epoch=held.epoch,
        durable=held.durable,
        last=held.last,
        stopped=held.stopped,
    )


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
        held=[_to_held(held) for held in frame.held],
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
        held=tuple(map(_of_held, message.held)),
    )


def _to_report(frame: f.Report) -> v1.Report:
    return v1.Report(events=encode_events(frame.events), taken=_marks(frame.taken))


def _of_report(message: v1.Report) -> f.Report:
    return f.Report(events=decode_events(message.events), taken=_unmarked(message.taken))


def _to_beat(frame: f.Beat) -> v1.Beat:
    return v1.Beat(number=frame.number, held=_epochs(frame.held), draining=frame.draining)


def _of_beat(message: v1.Beat) -> f.Beat:
    return f.Beat(number=message.number, held=_runs(message.held), draining=message.draining)


def _to_given_back(frame: f.GivenBack) -> v1.GivenBack:
    return v1.GivenBack(
        run_id=frame.run_id,
        epoch=frame.epoch,
        why=_WHY[frame.why],
        seq=frame.seq,
        seen=frame.seen,
        detail=frame.detail,
    )


def _of_given_back(message: v1.GivenBack) -> f.GivenBack:
    return f.GivenBack(
        run_id=RunId(message.run_id),
        epoch=message.epoch,
        why=_WHY_BACK[message.why],
        seq=message.seq,
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
        inputs=_json(asked.inputs),
        wait=asked.wait,
    )
    return f.StartChild(number=message.number, request=request)


def _to_welcome(frame: f.Welcome) -> v1.Welcome:
    return v1.Welcome(
        orchestrator=frame.orchestrator,
        lease=frame.lease,
        kept=_marks(frame.kept),
        stopped=_epochs(frame.stopped),
    )


def _of_welcome(message: v1.Welcome) -> f.Welcome:
    return f.Welcome(
        orchestrator=message.orchestrator,
        lease=message.lease,
        kept=_unmarked(message.kept),
        stopped=_runs(message.stopped),
    )


def _to_turned_away(frame: f.TurnedAway) -> v1.TurnedAway:
    return v1.TurnedAway(reason=frame.reason, final=frame.final)


def _of_turned_away(message: v1.TurnedAway) -> f.TurnedAway:
    return f.TurnedAway(reason=message.reason, final=message.final)


def _to_beat_seen(frame: f.BeatSeen) -> v1.BeatSeen:
    return v1.BeatSeen(number=frame.number)


def _of_beat_seen(message: v1.BeatSeen) -> f.BeatSeen:
    return f.BeatSeen(number=message.number)


def _to_message(message: Message) -> v1.Message:
    return v1.Message(
        number=message.number, kind=_KINDS[message.kind], data=encode_data(message.data)
    )


def _of_message(message: v1.Message) -> Message:
    kind = _KINDS_BACK[message.kind]
    return Message(number=message.number, kind=kind, data=decode_data(message.data))


def _to_dispatch(frame: f.Dispatch) -> v1.Dispatch:
    return v1.Dispatch(
        run_id=frame.run_id,
        epoch=frame.epoch,
        definition_hash=frame.definition_hash,
        definition=frame.definition,
        inputs=bytes(frame.inputs),
        events=encode_events(frame.events),
        more=frame.more,
        messages=[_to_message(message) for message in frame.messages],
        lost=frame.lost,
    )


def _of_dispatch(message: v1.Dispatch) -> f.Dispatch:
    return f.Dispatch(
        run_id=RunId(message.run_id),
        epoch=message.epoch,
        definition_hash=message.definition_hash,
        definition=message.definition,
        inputs=_json(message.inputs),
        events=decode_events(message.events),
        more=message.more,
        messages=tuple(map(_of_message, message.messages)),
        lost=message.lost,
    )


def _to_journal_part(frame: f.JournalPart) -> v1.JournalPart:
    return v1.JournalPart(
        run_id=frame.run_id,
        epoch=frame.epoch,
        events=encode_events(frame.events),
        more=frame.more,
    )


def _of_journal_part(message: v1.JournalPart) -> f.JournalPart:
    return f.JournalPart(
        run_id=RunId(message.run_id),
        epoch=message.epoch,
        events=decode_events(message.events),
        more=message.more,
    )


def _to_durable(frame: f.Durable) -> v1.Durable:
    return v1.Durable(runs=msgspec.json.encode(frame.runs))


def _of_durable(message: v1.Durable) -> f.Durable:
    runs = _DURABLE.decode(message.runs)
    return f.Durable(runs=tuple((RunId(run_id), epoch, seq) for run_id, epoch, seq in runs))


def _to_logs_kept(frame: f.LogsKept) -> v1.LogsKept:
    return v1.LogsKept(count=frame.count)


def _of_logs_kept(message: v1.LogsKept) -> f.LogsKept:
    return f.LogsKept(count=message.count)


def _to_stop(frame: f.Stop) -> v1.Stop:
    return v1.Stop(run_id=frame.run_id, epoch=frame.epoch, reason=frame.reason)


def _of_stop(message: v1.Stop) -> f.Stop:
    return f.Stop(run_id=RunId(message.run_id), epoch=message.epoch, reason=message.reason)


def _to_tell(frame: f.Tell) -> v1.Tell:
    return v1.Tell(run_id=frame.run_id, epoch=frame.epoch, message=_to_message(frame.message))


def _of_tell(message: v1.Tell) -> f.Tell:
    if message.message is None:
        raise Malformed("it tells nothing")
    told = _of_message(message.message)
    return f.Tell(run_id=RunId(message.run_id), epoch=message.epoch, message=told)


def _to_drain(frame: f.Drain) -> v1.Drain:
    return v1.Drain(on=frame.on)


def _of_drain(message: v1.Drain) -> f.Drain:
    return f.Drain(on=message.on)


def _to_child_started(frame: f.ChildStarted) -> v1.ChildStarted:
    return v1.ChildStarted(
        number=frame.number,
        child=None if frame.child is None else _to_child(frame.child),
        error=None if frame.error is None else _to_failure(frame.error),
        retryable=frame.retryable,
    )


def _of_child_started(message: v1.ChildStarted) -> f.ChildStarted:
    return f.ChildStarted(
        number=message.number,
        child=None if message.child is None else _of_child(message.child),
        error=None if message.error is None else _of_failure(message.error),
        retryable=message.retryable,
    )


def _to_child(child: Child) -> v1.Child:
    return v1.Child(run_id=child.run_id, version=child.version)


def _of_child(child: v1.Child) -> Child:
    return Child(run_id=RunId(child.run_id), version=child.version)


def _to_failure(error: Mapping[str, str]) -> v1.Failure:
    return v1.Failure(type=error["type"], message=error["message"])


def _of_failure(failure: v1.Failure) -> Mapping[str, str]:
    return {"type": failure.type, "message": failure.message}


_Encoders = Mapping[type, tuple[str, Callable[[Any], betterproto2.Message]]]

_FROM_ENGINE: Final[_Encoders] = {
    f.Hello: ("hello", _to_hello),
    f.Report: ("report", _to_report),
    f.Beat: ("beat", _to_beat),
    f.GivenBack: ("given_back", _to_given_back),
    f.LogChunk: ("log_chunk", _to_log_chunk),
    f.StartChild: ("start_child", _to_start_child),
}
_FROM_ORCHESTRATOR: Final[_Encoders] = {
    f.Welcome: ("welcome", _to_welcome),
    f.TurnedAway: ("turned_away", _to_turned_away),
    f.BeatSeen: ("beat_seen", _to_beat_seen),
    f.Dispatch: ("dispatch", _to_dispatch),
    f.JournalPart: ("journal_part", _to_journal_part),
    f.Durable: ("durable", _to_durable),
    f.LogsKept: ("logs_kept", _to_logs_kept),
    f.Stop: ("stop", _to_stop),
    f.Tell: ("tell", _to_tell),
    f.Drain: ("drain", _to_drain),
    f.ChildStarted: ("child_started", _to_child_started),
}
_ENCODERS: Final[Mapping[Kind, tuple[Callable[..., Any], _Encoders]]] = {
    v1.FromEngine: (v1.EngineFrame, _FROM_ENGINE),
    v1.FromOrchestrator: (v1.OrchestratorFrame, _FROM_ORCHESTRATOR),
}
_DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "hello": _of_hello,
    "report": _of_report,
    "beat": _of_beat,
    "given_back": _of_given_back,
    "log_chunk": _of_log_chunk,
    "start_child": _of_start_child,
    "welcome": _of_welcome,
    "turned_away": _of_turned_away,
    "beat_seen": _of_beat_seen,
    "dispatch": _of_dispatch,
    "journal_part": _of_journal_part,
    "durable": _of_durable,
    "logs_kept": _of_logs_kept,
    "stop": _of_stop,
    "tell": _of_tell,
    "drain": _of_drain,
    "child_started": _of_child_started,
}

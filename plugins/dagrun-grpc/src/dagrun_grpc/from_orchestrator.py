"""What an orchestrator says, on the wire: a pair of functions for each frame."""

from collections.abc import Mapping
from typing import Final

import msgspec

from dagrun.domain.ids import RunId
from dagrun.ports import frames as f
from dagrun.ports.children import Child
from dagrun_grpc.events import decode_events, encode_events
from dagrun_grpc.fields import (
    Decoders,
    Encoders,
    Malformed,
    json_of,
    of_epochs,
    of_marks,
    of_message,
    to_epochs,
    to_marks,
    to_message,
)
from dagrun_grpc.wire.dagrun import v1

_DURABLE: Final = msgspec.json.Decoder(list[tuple[str, int, int]])


def _to_welcome(frame: f.Welcome) -> v1.Welcome:
    return v1.Welcome(
        lease=frame.lease,
        kept=to_marks(frame.kept),
        stopped=to_epochs(frame.stopped),
    )


def _of_welcome(message: v1.Welcome) -> f.Welcome:
    return f.Welcome(
        lease=message.lease,
        kept=of_marks(message.kept),
        stopped=of_epochs(message.stopped),
    )


def _to_turned_away(frame: f.TurnedAway) -> v1.TurnedAway:
    return v1.TurnedAway(reason=frame.reason, final=frame.final)


def _of_turned_away(message: v1.TurnedAway) -> f.TurnedAway:
    return f.TurnedAway(reason=message.reason, final=message.final)


def _to_beat_seen(frame: f.BeatSeen) -> v1.BeatSeen:
    return v1.BeatSeen(number=frame.number)


def _of_beat_seen(message: v1.BeatSeen) -> f.BeatSeen:
    return f.BeatSeen(number=message.number)


def _to_dispatch(frame: f.Dispatch) -> v1.Dispatch:
    return v1.Dispatch(
        run_id=frame.run_id,
        epoch=frame.epoch,
        definition_hash=frame.definition_hash,
        definition=frame.definition,
        inputs=bytes(frame.inputs),
        events=encode_events(frame.events),
        more=frame.more,
        messages=[to_message(message) for message in frame.messages],
        lost=frame.lost,
    )


def _of_dispatch(message: v1.Dispatch) -> f.Dispatch:
    return f.Dispatch(
        run_id=RunId(message.run_id),
        epoch=message.epoch,
        definition_hash=message.definition_hash,
        definition=message.definition,
        inputs=json_of(message.inputs),
        events=decode_events(message.events),
        more=message.more,
        messages=tuple(map(of_message, message.messages)),
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
    return v1.Tell(run_id=frame.run_id, epoch=frame.epoch, message=to_message(frame.message))


def _of_tell(message: v1.Tell) -> f.Tell:
    if message.message is None:
        raise Malformed("it tells nothing")
    told = of_message(message.message)
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


ENCODERS: Final[Encoders] = {
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

DECODERS: Final[Decoders] = {
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

"""Frames as messages of the stream, and back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import betterproto2

from dagrun.ports.frames import Frame
from dagrun_grpc import from_engine, from_orchestrator
from dagrun_grpc.fieldcount import check_fields
from dagrun_grpc.fields import Encoders, Malformed
from dagrun_grpc.limits import MAX_FIELDS_OF_FRAMES
from dagrun_grpc.wire.dagrun import v1

__all__ = ["Kind", "Malformed", "Stream", "decode", "encode", "parsed"]

Stream = v1.FromEngine | v1.FromOrchestrator
"""What one message of the stream is, in one of its two directions."""

Kind = type[v1.FromEngine] | type[v1.FromOrchestrator]

_ENCODERS: Final[Mapping[Kind, tuple[Callable[..., Any], Encoders]]] = {
    v1.FromEngine: (v1.EngineFrame, from_engine.ENCODERS),
    v1.FromOrchestrator: (v1.OrchestratorFrame, from_orchestrator.ENCODERS),
}
_DECODERS: Final = {**from_engine.DECODERS, **from_orchestrator.DECODERS}


def encode(frames: Sequence[Frame], kind: Kind) -> bytes:
    """Write frames that travel together as one message, which may be too large for the stream."""
    wrap, encoders = _ENCODERS[kind]
    wrapped = []
    for frame in frames:
        field, to_wire = encoders[type(frame)]
        wrapped.append(wrap(**{field: to_wire(frame)}))
    return bytes(kind(frames=wrapped))


def decode(message: Stream) -> tuple[Frame, ...]:
    """Read frames that travelled together.

    Raises:
        Malformed: there is something that this dagrun does not know.
    """
    try:
        return tuple(map(_frame, message.frames))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"a frame that this dagrun cannot read ({error})") from error


def parsed(encoded: bytes, kind: Kind) -> Stream:
    """Read a message of the stream.

    Raises:
        Malformed: it is none.
    """
    try:
        check_fields(encoded, kind, most=MAX_FIELDS_OF_FRAMES)
        return kind.FromString(encoded)
    except Exception as error:
        raise Malformed(f"a message that this dagrun cannot read ({error})") from error


def _frame(wrapped: v1.EngineFrame | v1.OrchestratorFrame) -> Frame:
    field, message = betterproto2.which_one_of(wrapped, "frame")
    if message is None:
        raise Malformed("it is of another version")
    return _DECODERS[field](message)

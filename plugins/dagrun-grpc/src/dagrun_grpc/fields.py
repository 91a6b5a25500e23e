"""What frames of both directions are made of."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import betterproto2

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw, parse
from dagrun.ports.frames import Frame
from dagrun.ports.store import Message, MessageKind
from dagrun_grpc.events import decode_data, encode_data
from dagrun_grpc.limits import MAX_FRAMES
from dagrun_grpc.wire.dagrun import v1

Encoders = Mapping[type, tuple[str, Callable[[Any], betterproto2.Message]]]
"""Frame → the name of its field on the wire, and what writes it."""

Decoders = Mapping[str, Callable[[Any], Frame]]
"""Name of a field on the wire → what reads it."""

_KINDS: Final = {
    MessageKind.CANCEL: v1.MessageKind.CANCEL,
    MessageKind.PAUSE: v1.MessageKind.PAUSE,
    MessageKind.RESUME: v1.MessageKind.RESUME,
    MessageKind.CHILD_ENDED: v1.MessageKind.CHILD_ENDED,
}
_KINDS_BACK: Final = {number: kind for kind, number in _KINDS.items()}


class Malformed(ValueError):
    """What arrived is no frame that this dagrun knows."""


def json_of(text: bytes) -> Raw:
    """Read a JSON text, which is kept as text.

    Raises:
        ValueError: it is none, or too large.
    """
    return parse(text, limit=MAX_FRAMES)


def to_marks(marks: Sequence[tuple[RunId, int, int]]) -> list[v1.Mark]:
    """Write runs with their epochs and a number each."""
    return [v1.Mark(run_id=run, epoch=epoch, number=number) for run, epoch, number in marks]


def of_marks(marks: Sequence[v1.Mark]) -> tuple[tuple[RunId, int, int], ...]:
    """Read what :func:`to_marks` wrote."""
    return tuple((RunId(mark.run_id), mark.epoch, mark.number) for mark in marks)


def to_epochs(runs: Sequence[tuple[RunId, int]]) -> list[v1.RunEpoch]:
    """Write runs with their epochs."""
    return [v1.RunEpoch(run_id=run, epoch=epoch) for run, epoch in runs]


def of_epochs(epochs: Sequence[v1.RunEpoch]) -> tuple[tuple[RunId, int], ...]:
    """Read what :func:`to_epochs` wrote."""
    return tuple((RunId(entry.run_id), entry.epoch) for entry in epochs)


def to_message(message: Message) -> v1.Message:
    """Write what was posted to a run."""
    return v1.Message(
        number=message.number, kind=_KINDS[message.kind], data=encode_data(message.data)
    )


def of_message(message: v1.Message) -> Message:
    """Read what :func:`to_message` wrote.

    Raises:
        KeyError: it is of a kind that this dagrun does not know.
        ValueError: its data is no object.
    """
    kind = _KINDS_BACK[message.kind]
    return Message(number=message.number, kind=kind, data=decode_data(message.data))

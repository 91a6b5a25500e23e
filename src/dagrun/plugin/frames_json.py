"""Frames as JSON, for transports that have no format of their own.

What is read is the same as what was written, also where a value stays JSON text
(:data:`~dagrun.domain.jsonvalue.Raw`): that stands in between just as it is. So there may be line
breaks in what is written, and a transport has to say by itself where it ends.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec

from dagrun.domain.events import RAW_FIELDS, Event
from dagrun.domain.jsonvalue import MAX_RUN_OUTPUTS, Raw, check, parse
from dagrun.ports.children import ChildRequest
from dagrun.ports.frames import Frame
from dagrun.ports.store import Message

_Read: TypeAlias = Callable[[Raw], Any]


class Malformed(ValueError):
    """What arrived is nothing that this dagrun writes."""


def encode_frames(frames: Sequence[Frame]) -> bytes:
    """Write frames: an array of pairs, the name of a frame's class and its fields."""
    return _encode([(type(frame).__name__, frame) for frame in frames])


def decode_frames(text: bytes) -> tuple[Frame, ...]:
    """Read what :func:`encode_frames` wrote.

    Raises:
        Malformed: it is something else, or of another version.
    """
    try:
        return tuple(_READERS[name](fields) for name, fields in _pairs.decode(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"frames that this dagrun cannot read ({error!r})") from error


_encode: Final = msgspec.json.Encoder().encode
_pairs: Final = msgspec.json.Decoder(list[tuple[str, Raw]])
_fields: Final = msgspec.json.Decoder(dict[str, Raw])
_list: Final = msgspec.json.Decoder(list[Raw])


def _reader(kind: Any) -> _Read:
    """Give what reads a field of a type."""
    if kind is Raw:
        return _text
    if kind in (Event, Message, ChildRequest):
        return _reader_of_object(kind)
    of = get_args(kind)
    if of and of[0] in (Event, Message):  # a tuple of any length
        read = _reader_of_object(of[0])
        return lambda raw: tuple(map(read, _list.decode(raw)))
    if kind is datetime:
        return msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)]).decode
    if kind in _DATA:
        return _data
    return msgspec.json.Decoder(_bounded(kind)).decode


def _bounded(kind: Any) -> Any:
    """Give a type whose integers are those that a database holds."""
    if kind is int:
        return _INTEGER
    if not (of := tuple(map(_bounded, get_args(kind)))):
        return kind
    return Union[of] if isinstance(kind, UnionType) else get_origin(kind)[of]  # noqa: UP007


def _reader_of_object(kind: type[Any]) -> _Read:
    """Give what reads an object whose fields need different readers."""
    types = get_type_hints(kind)
    readers = {field.name: _reader(types[field.name]) for field in attrs.fields(kind)}
    if kind is Event:
        readers |= _NUMBERS_OF_EVENTS

    def read(raw: Raw) -> Any:
        fields = _fields.decode(raw)
        return kind(**{name: readers[name](value) for name, value in fields.items()})

    return read


def _text(raw: Raw) -> Raw:
    """Take JSON text as it is, but not deeper than such text may be anywhere."""
    return parse(bytes(raw), limit=MAX_RUN_OUTPUTS)


def _data(raw: Raw) -> Mapping[str, Any] | None:
    """Read all values but for those that stay text."""
    fields = _maybe_fields.decode(raw)
    if fields is None:
        return None
    return {
        name: _text(value) if name in RAW_FIELDS else _value(value)
        for name, value in fields.items()
    }


def _value(raw: Raw) -> Any:
    check(bytes(raw), limit=MAX_RUN_OUTPUTS)
    return msgspec.json.decode(raw)


_MOST: Final = 2**63 - 1  # what a database holds
_INTEGER: TypeAlias = Annotated[int, msgspec.Meta(ge=-_MOST - 1, le=_MOST)]
_FROM_ZERO: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
_FROM_ONE: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
_NUMBERS_OF_EVENTS: Final[Mapping[str, _Read]] = {
    "seq": msgspec.json.Decoder(_FROM_ONE).decode,
    "epoch": msgspec.json.Decoder(_FROM_ONE).decode,
    "item": msgspec.json.Decoder(_FROM_ZERO | None).decode,
    "attempt": msgspec.json.Decoder(_FROM_ONE | None).decode,
}
_maybe_fields: Final = msgspec.json.Decoder(dict[str, Raw] | None)
_DATA: Final = (Mapping[str, Any], Mapping[str, Any] | None)
_READERS: Final = {kind.__name__: _reader_of_object(kind) for kind in get_args(Frame)}

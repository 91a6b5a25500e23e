"""Events as JSON: one array a batch, as ``proto/dagrun/v1/session.proto`` has it for ``Report``."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from dagrun.domain.events import RAW_FIELDS, Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import MAX_RUN_OUTPUTS, Raw, check

Data = Mapping[str, Any]

_MOST: Final = 2**63 - 1  # what a database holds
_FromOne: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
_FromZero: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class _Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An event as it stands in the array."""

    run_id: str
    seq: _FromOne
    epoch: _FromOne
    type: Type
    time: datetime
    node_id: str | None
    item: _FromZero | None
    attempt: _FromOne | None
    data: dict[str, Raw] | None


_encode: Final = msgspec.json.Encoder().encode
_rows: Final = msgspec.json.Decoder(list[_Row])
_object: Final = msgspec.json.Decoder(dict[str, Raw])


def encode_events(events: Sequence[Event]) -> bytes:
    """Write events; nothing for no events."""
    if not events:
        return b""
    return _encode(
        [
            (
                event.run_id,
                event.seq,
                event.epoch,
                event.type,
                event.time,
                event.node_id,
                event.item,
                event.attempt,
                event.data,
            )
            for event in events
        ]
    )


def decode_events(text: bytes) -> tuple[Event, ...]:
    """Read what :func:`encode_events` wrote.

    Raises:
        ValueError: it is something else, or holds a type of event that this dagrun does not know.
    """
    return tuple(map(_event, _rows.decode(text))) if text else ()


def encode_data(data: Data) -> bytes:
    """Write what belongs to a message; nothing for an empty object."""
    return _encode(data) if data else b""


def decode_data(text: bytes) -> Data:
    """Read what :func:`encode_data` wrote.

    Raises:
        ValueError: it is something else.
    """
    return _plain(_object.decode(text)) if text else {}


def _event(row: _Row) -> Event:
    if row.time.tzinfo is None:
        raise ValueError(f"the time {row.time} has no zone")
    return Event(
        RunId(row.run_id),
        row.seq,
        row.epoch,
        row.type,
        row.time,
        row.node_id,
        row.item,
        row.attempt,
        None if row.data is None else _plain(row.data),
    )


def _plain(data: Mapping[str, Raw]) -> dict[str, Any]:
    """Decode the fields but for those that stay text, which no longer hold on to the batch.

    Raises:
        ValueError: one is deeper than values may be anywhere.
    """
    return {name: _value(name, bytes(raw)) for name, raw in data.items()}


def _value(name: str, raw: bytes) -> Any:
    check(raw, limit=MAX_RUN_OUTPUTS)
    return Raw(raw) if name in RAW_FIELDS else msgspec.json.decode(raw)

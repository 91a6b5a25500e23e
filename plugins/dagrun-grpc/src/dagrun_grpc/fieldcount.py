"""How many fields a message has, before it is read.

Reading one takes some microseconds for each field, in which nobody else has a turn. A field may have
two bytes: four million bytes would be half a minute.
"""

from typing import Any, Final

from dagrun_grpc.limits import MAX_FIELDS

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_FIXED: Final = {_EIGHT: 8, _FOUR: 4}
_WHOLE: Final = frozenset({"string", "bytes"})
_NESTED: Final = frozenset({"message", "map"})
_COPIED: Final = 1024
"""Bytes of unknown fields that take as long as a field: they are copied for each that follows."""


class TooManyFields(ValueError):
    """A message takes too long to be read."""


def check_fields(encoded: bytes, kind: Any, *, most: int = MAX_FIELDS) -> None:
    """Refuse a message that has too many fields. What is no message at all is not seen here.

    Args:
        encoded: the message.
        kind: the class of it.
        most: fields of it, and of all that are in it; elements of lists are such, too.

    Raises:
        TooManyFields: it has more.
    """
    if len(encoded) <= most:
        return
    try:
        _Count(encoded, most).message(0, len(encoded), kind)
    except IndexError:  # it ends in the middle of a number
        return


class _Count:
    def __init__(self, encoded: bytes, most: int) -> None:
        self._encoded = encoded
        self._most = self._left = most

    def message(self, at: int, end: int, kind: Any) -> None:
        """Count the fields between two places, of a message or of what is in it."""
        about = kind._betterproto  # noqa: SLF001 — it is said nowhere else
        unknown = 0
        while at < end:
            begin = at
            tag, at = self._number(at)
            name = about.field_name_by_number.get(tag >> 3)
            length, at = self._length(tag & 7, at)
            self._take(1 + unknown // _COPIED)
            if name is None:
                unknown += at + length - begin
            elif tag & 7 == _LENGTH:
                self._inside(at, min(at + length, end), name, about)
            at += length

    def _inside(self, at: int, end: int, name: str, about: Any) -> None:
        kind = about.meta_by_field_name[name].proto_type
        if kind in _NESTED:
            self.message(at, end, about.cls_by_field[name])
        elif kind not in _WHOLE:  # numbers, one behind the other
            self._take(end - at)

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooManyFields(
                f"the message has too many fields; at most {self._most} are possible"
            )

    def _length(self, wire_type: int, at: int) -> tuple[int, int]:
        """Give how many bytes follow of a field, and where they begin."""
        if wire_type == _LENGTH:
            return self._number(at)
        if wire_type == _VARINT:
            return 0, self._number(at)[1]
        return _FIXED.get(wire_type, 0), at

    def _number(self, at: int) -> tuple[int, int]:
        """Read a number; give where it ends, too."""
        value = shift = 0
        while (byte := self._encoded[at]) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if shift > 63:  # there are none of so many bytes
                raise IndexError
        return value | byte << shift, at + 1

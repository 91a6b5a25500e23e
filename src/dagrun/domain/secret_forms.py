"""In which forms the value of a secret may stand in a text.

A form is a sequence of units. Each unit is one character of the value, or of its base64 or
hexadecimal text, and may be written in several ways: as it is, escaped with a backslash as JSON,
Python and shells do, URL-encoded, or one inside the other. So a form covers every choice that an
encoder has: which characters it escapes, and with digits of which case. Letters and digits of
ASCII are never escaped.
"""

import base64
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Final

MIN_VALUE: Final = 4
"""Bytes that a value has at least, without blanks around it: hiding less would hide everything."""

MAX_VALUE: Final = 64 * 1024
"""Bytes that a value has at most."""

MAX_LINES: Final = 256
"""Lines that a value has at most; each one is looked for."""

MIN_LINE: Final = 8
"""Bytes of a line that is looked for by itself; a shorter one is hidden with its value only."""

HEAD: Final = 4
"""Units by which a form is looked for."""

LONGEST_WAY: Final = 24
"""Bytes that one character may take: four bytes of UTF-8, each in hexadecimal and URL-encoded."""

LONGEST_UNIT: Final = LONGEST_WAY + 6
"""Bytes that a unit may take, with a line break of six bytes in front of it."""

LONGEST_RAW_UNIT: Final = 4 + 2
"""The same without escapes: four bytes of UTF-8, and a line break of two bytes."""

_FIRST: Final = (2, 8)
"""Bytes that are compared before a form is looked at more closely."""

Ways = tuple[bytes, ...]
"""How one character may be written."""

_BREAKS: Final = (b"\n", b"\r\n", b"\\n", b"\\r\\n", b"%0A", b"%0D%0A")
"""With what programs break a long base64 or hexadecimal text into lines."""

OTHERWISE: Final = b"\\%+-_'\r\n" + bytes(range(0x80, 0x100))
"""With what everything begins that is not an ASCII character as it is: escapes, line breaks, UTF-8."""

_AMBIGUOUS: Final = re.compile(rb"[\\%'\x80-\xff]")
"""How a character begins that, standing as it is, may be the beginning of another way to write it."""

_PERCENT: Final = re.compile("%..")
_CONTROLS: Final = {c: "\\" + e for c, e in zip("\b\f\n\r\t", "bfnrt", strict=True)}
_SAFE_IN_URLS: Final = {"+": b"-", "/": b"_"}  # base64's other alphabet, RFC 4648 section 5


class Form:
    """One form of a value.

    Args:
        text: its characters.
        writings: gives the ways to write a character.
        breaks: what may stand between any two characters.
    """

    __slots__ = ("_offsets", "_stops", "_text", "_writings", "breaks", "plain")

    def __init__(self, text: str, writings: Callable[[str], Ways], breaks: Ways = ()) -> None:
        self.plain = text.encode()
        self.breaks = breaks
        self._text = text
        self._writings = writings
        self._offsets: Sequence[int] = ()
        self._stops: Sequence[int] = ()

    def head(self, most: int) -> Sequence[Ways]:
        """Give the first units, at most ``most``; those by which it can be looked for quickly."""
        units: list[Ways] = []
        open_ended = 0
        for character in self._text[:most]:
            ways = self._writings(character)
            open_ended += is_open_ended(ways)
            if len(units) >= HEAD and open_ended > HEAD:
                break
            units.append(ways)
        return units

    def longest(self) -> int:
        """Give the most bytes that it can have."""
        gap = max(map(len, self.breaks), default=0)
        return sum(max(map(len, self._writings(character))) + gap for character in self._text)

    def match(self, data: bytes, at: int) -> tuple[int, bool]:
        """Look whether it stands at a place.

        Returns:
            Where it ends, 0 if it does not stand there; and whether the data is cut off in it.
        """
        if data.startswith(self.plain, at) and not self.plain.endswith(b"'"):
            return at + len(self.plain), False  # a last quote may be the beginning of its escape
        for size in _FIRST:  # ends by far the most false alarms
            first = data[at : at + size]
            if first.isalnum() and not self.plain.startswith(first):
                return 0, False
        ends, cut, number = {at}, False, 0
        while number < len(self._text):
            if len(ends) == 1:
                (end,) = ends
                number, end = self._skip(data, end, number)
                if number == len(self._text):
                    return end, cut
                if end < len(data) and data[end] not in OTHERWISE:
                    return 0, cut
                ends = {end}
            ways = self._writings(self._text[number])
            cut = cut or _is_cut(data, ends, self.breaks)
            ends |= _after(data, ends, self.breaks)
            cut = cut or _is_cut(data, ends, ways)
            ends = _after(data, ends, ways)
            if not ends:
                return 0, cut
            number += 1
        return max(ends), cut

    def _skip(self, data: bytes, at: int, number: int) -> tuple[int, int]:
        """Go over what stands there as it is, and can be read in no other way.

        Give the number of the next unit, and its place.
        """
        offset = self._offset(number)
        stops = self._ambiguous()
        size = stops[bisect_left(stops, offset)] - offset
        same = _common(data, at, self.plain, offset, size)
        return number + same, at + same

    def _ambiguous(self) -> Sequence[int]:
        """Give the places in the plain text of what can be read in several ways, and its end."""
        if not self._stops:
            stops = [found.start() for found in _AMBIGUOUS.finditer(self.plain)]
            self._stops = [*stops, len(self.plain)]
        return self._stops

    def _offset(self, number: int) -> int:
        """Give where a unit begins in the plain text."""
        if len(self.plain) == len(self._text):
            return number
        if not self._offsets:
            self._offsets = [0, *accumulate(len(c.encode()) for c in self._text)]
        return self._offsets[number]


def is_open_ended(ways: Ways) -> bool:
    """Whether what begins one way to write a character is another way to write it.

    Many of them in a row can be read in very many ways.
    """
    return any(way != other and other.startswith(way) for way in ways for other in ways)


def _common(data: bytes, at: int, plain: bytes, offset: int, size: int) -> int:
    """Give how many bytes are the same, at most ``size``. Takes time for these only."""
    same, step = 0, 16
    while same < size and step:
        step = min(step, size - same)
        begin, end = offset + same, offset + same + step
        if data.startswith(plain[begin:end], at + same):
            same, step = same + step, 4 * step
        else:
            step = max(1, step // 4) if step > 1 else 0
    return same


def _after(data: bytes, ends: set[int], ways: Ways) -> set[int]:
    return {end + len(way) for end in ends for way in ways if data.startswith(way, end)}


def _is_cut(data: bytes, ends: set[int], ways: Ways) -> bool:
    """Whether the data ends before it is clear how something is written."""
    size = len(data)
    return any(
        len(way) > size - end and way.startswith(data[end:])
        for end in ends
        if size - end < LONGEST_WAY
        for way in ways
    )


def forms(value: str) -> Iterator[Form]:
    """Give all forms of a value, and of each line of it that is long enough."""
    value = value.strip()
    yield from _forms(value)
    for line in dict.fromkeys(line.strip() for line in value.splitlines()):
        if line != value and len(line.encode()) >= MIN_LINE:
            yield from _forms(line)


def _forms(text: str) -> Iterator[Form]:
    data = text.encode()
    yield Form(text, writings)
    for encoded in dict.fromkeys(_base64(data)):
        yield Form(encoded, _base64_writings, _BREAKS)
    yield Form(data.hex(), _as_it_is, _BREAKS)
    yield Form(data.hex().upper(), _as_it_is, _BREAKS)


def _base64(data: bytes) -> Iterator[str]:
    """Give the base64 text of the value alone, and what of it is the same inside a longer one.

    There it may begin with the first, second or third byte of a group. Its first and last
    character may depend on its neighbours.
    """
    yield base64.b64encode(data).decode().rstrip("=")
    for before in range(3):
        first, end = -(-8 * before // 6), 8 * (before + len(data)) // 6
        yield base64.b64encode(bytes(before) + data).decode()[first:end]


@cache
def writings(character: str) -> Ways:
    """Give the ways in which encoders write a character, in up to two layers."""
    if character.isascii() and character.isalnum():
        return _as_it_is(character)
    once = [*_backslashed(character), *_url(character)]
    twice = [again for way in once for again in (json.dumps(way)[1:-1], *_quoted(way))]
    return tuple(dict.fromkeys(way.encode() for way in (character, *once, *twice)))


@cache
def _base64_writings(character: str) -> Ways:
    other = _SAFE_IN_URLS.get(character)
    return writings(character) if other is None else (*writings(character), other)


@cache
def _as_it_is(character: str) -> Ways:
    return (character.encode(),)


def _backslashed(character: str) -> Iterator[str]:
    escaped = f"\\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]
    yield escaped
    yield escaped.upper().replace("\\U", "\\u")
    yield "".join(f"\\x{byte:02x}" for byte in character.encode())
    yield f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\U{ord(character):08x}"
    if character in _CONTROLS:
        yield _CONTROLS[character]
    elif character.isascii() and character.isprintable():
        yield "\\" + character
    if not character.isascii():
        yield "".join(f"\\{byte:03o}" for byte in character.encode())
    if character == "'":  # between quotes, as `set -x` and `shlex.quote` write it
        yield from ("'\\''", "'\"'\"'")
    if character == "\n":
        yield from ("\r\n", "\\r\\n")


def _url(character: str) -> Iterator[str]:
    yield from _quoted(character)
    if character == " ":
        yield "+"
    if character == "\n":
        yield from _quoted("\r\n")


def _quoted(text: str) -> Iterator[str]:
    """Give a text with all but letters and digits URL-encoded, with digits of either case."""
    encoded = "".join(
        c if c.isascii() and c.isalnum() else "".join(f"%{byte:02X}" for byte in c.encode())
        for c in text
    )
    yield encoded
    yield _PERCENT.sub(lambda found: found[0].lower(), encoded)

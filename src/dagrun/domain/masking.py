"""Hide the values of secrets in what leaves an engine.

This is for accidents: a program that prints its configuration, an error that quotes a header. A
value is found in every form of :mod:`dagrun.domain.secret_forms`. One that was changed otherwise,
such as compressed, encrypted, reversed or cut in pieces, is not.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, Final

from dagrun.domain.jsonvalue import MAX_AGGREGATE, NotJson, Raw, decode, encode
from dagrun.domain.secret_forms import (
    HEAD,
    LONGEST_RAW_UNIT,
    LONGEST_UNIT,
    MAX_LINES,
    MAX_VALUE,
    MIN_VALUE,
    Form,
    Ways,
    forms,
)

MASK: Final = "***"
"""What stands in the place of a value."""

_MASK: Final = MASK.encode()
_KEPT: Final = 32
"""Sets of secrets for which the mask is kept, as the attempts of a node have the same ones."""

PATIENCE: Final = 200
"""False alarms after which a mask looks for longer heads."""

LONG_HEAD: Final = 64
"""Units of these at most."""

MOST_UNITS: Final = 2000
"""Units of all of them together, more or less; 1,000 take 10 ms to make."""

_Trie = dict[tuple[Ways, Ways], Any]
"""(line breaks, ways to write a unit) → what may follow."""

_END: Final = ((), ())
"""Says in a trie that the head of a form ends."""

Span = tuple[int, int]
"""Where something begins and ends."""


def value_problem(value: str) -> str | None:
    """Say why a value cannot be a secret; None if it can."""
    try:
        size, least = len(value.encode()), len(value.strip().encode())
    except UnicodeEncodeError:
        return "it is no UTF-8 text; keep it as base64"
    if least < MIN_VALUE:
        return f"it has {least} bytes; below {MIN_VALUE} it could not be masked"
    if size > MAX_VALUE:
        return f"it has {size} bytes; at most {MAX_VALUE} are allowed"
    if len(value.splitlines()) > MAX_LINES:
        return f"it has more than {MAX_LINES} lines"
    if "\0" in value:
        return "it holds a NUL character"
    return None


class Mask:
    """Finds the values of some secrets."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {(form.plain, form.breaks): form for value in values for form in forms(value)}
        self._forms = tuple(found.values())
        by_first: dict[int, list[Form]] = {}
        for form in self._forms:
            for first in {way[0] for way in form.head(1)[0]}:
                by_first.setdefault(first, []).append(form)
        self._by_first = [by_first.get(first, []) for first in range(256)]
        self._heads = self._short_heads = _heads(self._forms, HEAD)
        self._depth = HEAD
        self._false_alarms = 0

    def longest(self) -> int:
        """Give the most bytes that a value can have in any form."""
        return max(form.longest() for form in self._forms)

    def find(self, data: bytes, *, final: bool) -> tuple[list[Span], int]:
        """Find all values.

        Args:
            data: where to look.
            final: whether nothing follows.

        Returns:
            Where values stand, in the order of their beginnings; and from where on it depends
            on what follows.
        """
        spans, keep, at = [], len(data), 0
        while (head := self._heads.search(data, at)) is not None:
            at = head.start()
            end, cut = self._match(data, at)
            if end:
                spans.append((at, end))
            if cut:
                keep = min(keep, at)
            if not end and not cut:
                self._note_false_alarm()
            at += 1
        return spans, len(data) if final else self._first_cut(data, keep)

    def _note_false_alarm(self) -> None:
        """Look for longer heads after many false alarms: each takes as long as 1,000 other bytes."""
        self._false_alarms += 1
        depth = min(LONG_HEAD, MOST_UNITS // len(self._forms))
        if self._false_alarms >= PATIENCE and depth > self._depth:
            self._depth = depth  # first, as a thread may use the heads at once
            self._heads = _heads(self._forms, depth)

    def _first_cut(self, data: bytes, keep: int) -> int:
        """Give the first place before ``keep`` at which a form may begin whose head is cut off."""
        at = _last(data, self._depth) if self._depth > HEAD else len(data)
        while (head := self._short_heads.search(data, at)) is not None and head.start() < keep:
            at = head.start()
            if self._match(data, at)[1]:
                return self._first_cut_short(data, at)
            at += 1
        return self._first_cut_short(data, keep)

    def _first_cut_short(self, data: bytes, keep: int) -> int:
        for at in range(_last(data, HEAD), keep):
            if self._by_first[data[at]] and self._match(data, at)[1]:
                return at
        return keep

    def _match(self, data: bytes, at: int) -> tuple[int, bool]:
        """Give where the longest form ends that stands at a place, and whether one is cut off."""
        longest, any_cut = 0, False
        for form in self._by_first[data[at]]:
            end, cut = form.match(data, at)
            longest, any_cut = max(longest, end), any_cut or cut
        return longest, any_cut

    def text(self, text: str) -> str:
        """Give a text with all values hidden."""
        data = text.encode(errors="surrogatepass")
        if self._heads.search(data) is None:
            return text
        return Masker(self).finish(data).decode(errors="surrogatepass")

    def json(self, raw: Raw) -> Raw:
        """Give JSON text with all values hidden, in keys and numbers, too.

        Raises:
            NotJson: a value is spread over several strings or numbers, where it cannot be hidden.
        """
        data = bytes(raw)
        if b"\\" not in data and not self.find(data, final=True)[0]:
            return raw
        masked = encode(self._value(decode(raw)), limit=MAX_AGGREGATE)
        if self.find(bytes(masked), final=True)[0]:
            raise NotJson("the value of a secret is spread over several of their parts")
        return masked

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._value(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._value(element) for element in value]
        if value is None or isinstance(value, bool):
            return value
        written = bytes(encode(value)).decode()
        masked = self.text(written)
        return value if masked == written else masked


@lru_cache(maxsize=_KEPT)
def mask_of(values: Sequence[str]) -> Mask:
    """Give the mask of some values, made once for all who ask for the same ones."""
    return Mask(values)


class Masker:
    """Hides values in a text that comes in pieces.

    It holds back what may be the beginning of a value, and no more.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""
        self._hidden = 0
        """Bytes of what is held, from its beginning, that belong to a value already hidden."""

    @property
    def held(self) -> int:
        """Bytes that are held back."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; give what may go out."""
        return self._pass(data, final=False)

    def finish(self, data: bytes = b"") -> bytes:
        """Take the last bytes; give the rest."""
        return self._pass(data, final=True)

    def rest(self) -> bytes:
        """Give what :meth:`finish` would; it stays held."""
        return copy(self).finish()

    def _pass(self, data: bytes, *, final: bool) -> bytes:
        data = self._held + data
        spans, keep = self._mask.find(data, final=final)
        out, done = [], 0
        for start, end in _union([(0, self._hidden), *spans]):
            if start >= keep:
                break
            out.append(data[done:start])
            if start or not self._hidden:
                out.append(_MASK)
            done = end
        out.append(data[done:keep])
        self._held, self._hidden = data[keep:], max(0, max(done, self._hidden) - keep)
        return b"".join(out)


def _union(spans: Iterable[Span]) -> Iterator[Span]:
    """Join spans that touch, and leave out empty ones; they are in the order of their starts."""
    first = last = 0
    for start, end in spans:
        if start > last:
            if last:
                yield first, last
            first = start
        last = max(last, end)
    if last:
        yield first, last


def _last(data: bytes, units: int) -> int:
    """Give from where on so many units may reach beyond the end."""
    start = max(0, len(data) - units * LONGEST_UNIT)
    if data.find(b"%", start) < 0 and data.find(b"\\", start) < 0:
        return max(0, len(data) - units * LONGEST_RAW_UNIT)
    return start


def _heads(forms: Iterable[Form], depth: int) -> re.Pattern[bytes]:
    """Compile what finds the first units of all forms."""
    trie: _Trie = {}
    for form in forms:
        _add(trie, form.head(depth), form.breaks)
    return re.compile(_pattern(trie))


def _add(trie: _Trie, units: Sequence[Ways], breaks: Ways) -> None:
    """Add the first units of a form; apart by the first byte, so that a search can look for it."""
    for first in {way[:1] for way in units[0]}:
        rests = tuple(way[1:] for way in units[0] if way[:1] == first)
        place = trie.setdefault(((), (first,)), {}).setdefault(((), rests), {})
        for ways in units[1:]:
            place = place.setdefault((breaks, ways), {})
        place[_END] = {}


def _pattern(trie: _Trie) -> bytes:
    """Write a pattern that finds what is in a trie."""
    if _END in trie:
        return b""
    return b"|".join(
        _optional(breaks) + _either(ways) + (b"(?:%b)" if len(rest) > 1 else b"%b") % _pattern(rest)
        for (breaks, ways), rest in trie.items()
    )


def _optional(breaks: Ways) -> bytes:
    return _either(breaks) + b"?" if breaks else b""


def _either(ways: Ways) -> bytes:
    if len(ways) == 1:
        return re.escape(ways[0])
    return b"(?:%b)" % b"|".join(map(re.escape, ways))

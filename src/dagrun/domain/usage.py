"""What the text of an expression says about itself, without running it."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

from dagrun.domain.tokens import CLOSING, KEYWORDS, OPENING, Token, Unfinished, literal, tokens

LIBRARY: Final = frozenset(
    (
        "ipairs",
        "json",
        "math",
        "next",
        "pairs",
        "select",
        "string",
        "table",
        "tonumber",
        "tostring",
        "type",
        "utf8",
    )
)
"""Names that every expression may use besides those of its scope."""

_END: Final = Token("symbol", "", 0, 0)
_BEFORE_FIELD: Final = frozenset({".", ":", "goto", "::"})


_PLAIN_PATH: Final = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\s*", re.ASCII)


class Malformed(ValueError):
    """The text cannot be an expression."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


@attrs.frozen
class Usage:
    """Which names an expression uses, and how."""

    fields: dict[str, frozenset[str] | None]
    """Name of the scope → the fields that are read of it; None if it is used as a whole."""

    path: tuple[str | int, ...] | None
    """The names and indexes, if the expression is nothing but such as ``nodes.a.rows[1]``."""

    hyphenated: dict[str, str]
    """Field of ``nodes`` → what it reads with the hyphens that follow, if any do."""


def examine(source: str, names: Sequence[str]) -> Usage:
    """Find out what an expression uses.

    Raises:
        Malformed: an unknown name, brackets that do not fit, an unfinished string, no text.
    """
    path = _plain_path(source, names)
    if path is not None:
        return Usage({path[0]: frozenset(path[1:2]) or None}, path, {})
    found = _read(source)
    declared = _declared(found)
    uses = [
        index
        for index, token in enumerate(found[:-1])
        if token.kind == "name" and _is_variable(found, index)
    ]
    fields: dict[str, frozenset[str] | None] = {}
    hyphenated: dict[str, str] = {}
    for index in uses:
        name = found[index].text
        if name in names:
            _note_use(fields, found, index)
            if name == "nodes":
                _note_hyphens(hyphenated, found, index)
    for index in uses:
        name = found[index].text
        if name not in names and name not in LIBRARY and name not in declared:
            raise _unknown(source.strip(), name, names, hyphenated)
    return Usage(fields, _path(found, names), hyphenated)


def _plain_path(source: str, names: Collection[str]) -> tuple[str, ...] | None:
    """Read what most expressions are, such as ``nodes.a.rows``, without taking it apart."""
    if _PLAIN_PATH.fullmatch(source) is None:
        return None
    path = tuple(source.strip().split("."))
    return path if path[0] in names and KEYWORDS.isdisjoint(path) else None


def _read(source: str) -> list[Token]:
    try:
        found = list(tokens(source))
    except Unfinished as error:
        raise Malformed(str(error)) from None
    if not found:
        raise Malformed("the expression is empty")
    _check_brackets(found)
    return [*found, _END]


def _check_brackets(found: Sequence[Token]) -> None:
    expected: list[str] = []
    for token in found:
        if token.text in OPENING:
            expected.append(OPENING[token.text])
        elif token.text in CLOSING and (not expected or expected.pop() != token.text):
            raise Malformed(f"{token.text!r} closes nothing")
    if expected:
        raise Malformed(f"{expected[-1]!r} is missing")


def _is_variable(found: Sequence[Token], index: int) -> bool:
    """Whether the name stands for a variable: no field, no label, no key of a constructor."""
    before = found[index - 1].text if index else ""
    if before in _BEFORE_FIELD:
        return False
    return not (found[index + 1].text == "=" and before in ("{", ",", ";"))


def _declared(found: Sequence[Token]) -> frozenset[str]:
    """Give all names that ``local``, ``for`` and functions declare, wherever they hold."""
    declared: set[str] = set()
    for index, token in enumerate(found):
        if token.text in ("local", "for", "function"):
            declared.update(_list_of_names(found, index + 1))
    return frozenset(declared)


def _list_of_names(found: Sequence[Token], index: int) -> Iterator[str]:
    while found[index].kind == "name" or found[index].text in ("(", ",", "<", ">", "function"):
        if found[index].kind == "name":
            yield found[index].text
        index += 1


def _field(found: Sequence[Token], index: int) -> tuple[str, int] | None:
    """Give the field read after the token at ``index``, and the index of its last token."""
    after = found[index + 1]
    if after.text == "." and found[index + 2].kind == "name":
        return found[index + 2].text, index + 2
    if after.text == "[" and found[index + 3].text == "]":
        key = literal(found[index + 2])
        return None if key is None else (key, index + 3)
    return None


def _note_use(fields: dict[str, frozenset[str] | None], found: Sequence[Token], index: int) -> None:
    name = found[index].text
    known = fields.get(name, frozenset())
    field = _field(found, index)
    fields[name] = None if field is None or known is None else known | {field[0]}


def _note_hyphens(hyphenated: dict[str, str], found: Sequence[Token], index: int) -> None:
    field = _field(found, index)
    if field is None or found[index + 1].text != ".":
        return
    short, last = field
    whole = short
    while found[last + 1].text == "-" and found[last + 2].kind in ("name", "number"):
        if not found[last].end == found[last + 1].start == found[last + 2].start - 1:
            break
        whole += "-" + found[last + 2].text
        last += 2
    if whole != short:
        hyphenated[short] = whole


def _path(found: Sequence[Token], names: Collection[str]) -> tuple[str | int, ...] | None:
    if found[0].text not in names:
        return None
    path: list[str | int] = [found[0].text]
    index = 0
    while found[index + 1] is not _END:
        field = _field(found, index)
        if field is None:
            if found[index + 1].text != "[" or not found[index + 2].text.isdecimal():
                return None
            if found[index + 3].text != "]":
                return None
            field_or_index: str | int = int(found[index + 2].text[:18])
            index += 3
        else:
            field_or_index, index = field
        path.append(field_or_index)
    return tuple(path)


def _unknown(source: str, name: str, names: Sequence[str], hyphenated: dict[str, str]) -> Malformed:
    for whole in hyphenated.values():
        if name in whole.split("-")[1:]:
            return Malformed(f"unknown name {name!r}", f'nodes["{whole}"]')
    if source == name and name.isupper():
        return Malformed(f"unknown name {name!r}", f"$${{{name}}}")
    return Malformed(f"unknown name {name!r}", _nearest(name, names))


def _nearest(name: str, names: Sequence[str]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 — only needed when there is an error

    close = get_close_matches(name, [*names, *sorted(LIBRARY)], n=1)
    return close[0] if close else None

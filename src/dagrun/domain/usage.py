"""What the text of an expression says about itself, without running it."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

from dagrun.domain.document.places import nearest
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

_IN_LISTS: Final = frozenset({"(", ",", "<", ">", ".", ":"})
_END: Final = Token("symbol", "", 0, 0)
_BEFORE_FIELD: Final = frozenset({".", ":", "goto"})
LONGEST: Final = 16 * 1024  # characters of an expression

_ID: Final = re.compile(r"\s*\.\s*([A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)", re.ASCII)
_LUA_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


_PLAIN_PATH: Final = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\s*", re.ASCII)


class Malformed(ValueError):
    """The text cannot be an expression."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


@attrs.frozen
class Usage:
    """Which names an expression uses, and how."""

    fields: dict[str, frozenset[str]]
    """Name of the scope → the fields of it that are named."""

    whole: frozenset[str]
    """Names of the scope that are used without a field, too."""

    path: tuple[str | int, ...] | None
    """The names and indexes, if the expression is nothing but such as ``nodes.a.rows[1]``."""

    hyphenated: dict[str, str]
    """Field of ``nodes`` as Lua reads it → the id that stands there, if that is another one."""

    through_outputs: frozenset[str] = frozenset()
    """Ids of nodes behind which ``.outputs`` and a member of that is written."""

    declared: frozenset[str] = frozenset()
    """Names that it declares itself, and which may then stand for something else."""

    plain: bool = False
    """Whether it is so simple that Lua need not be asked whether it compiles."""


def examine(source: str, names: Sequence[str]) -> Usage:
    """Find out what an expression uses.

    Raises:
        Malformed: an unknown name, brackets that do not fit, an unfinished string, no text, too
            much of it.
    """
    if len(source) > LONGEST:
        raise Malformed(f"an expression may have {LONGEST} characters, not {len(source)}")
    plain = _plain_path(source, names)
    if plain is not None:
        named = frozenset(plain[1:2])
        unnamed = frozenset[str]() if named else frozenset(plain)
        is_through = plain[0] == "nodes" and plain[2:3] == ("outputs",) and len(plain) > 3
        through_plain = named if is_through else frozenset[str]()
        return Usage({plain[0]: named}, unnamed, plain, {}, through_plain, plain=True)
    found = _read(source)
    declared = _declared(found)
    uses = [
        index
        for index, token in enumerate(found[:-1])
        if token.kind == "name" and _is_variable(found, index)
    ]
    fields: dict[str, frozenset[str]] = {}
    whole = set[str]()
    hyphenated: dict[str, str] = {}
    through = set[str]()
    for index in uses:
        name = found[index].text
        if name in names:
            field = _field(found, index)
            if name == "nodes" and field and _goes_through_outputs(found, field[1]):
                through.add(field[0])
            fields[name] = fields.get(name, frozenset()) | ({field[0]} if field else frozenset())
            if field is None:
                whole.add(name)
            if name == "nodes":
                _note_id(hyphenated, source, found[index].end)
    for index in uses:
        name = found[index].text
        if name not in names and name not in LIBRARY and name not in declared:
            raise _unknown(source.strip(), found, index, names, hyphenated)
    path = _path(found, names)
    return Usage(fields, frozenset(whole), path, hyphenated, frozenset(through), declared)


def _goes_through_outputs(found: Sequence[Token], index: int) -> bool:
    """Whether ``.outputs`` and a member of that follow the token at ``index``."""
    return [token.text for token in found[index + 1 : index + 3]] == [".", "outputs"] and (
        found[index + 3].text in (".", "[")
    )


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
    before, after = found[index - 1].text if index else "", found[index + 1].text
    if before in _BEFORE_FIELD or (before == "::" and after == "::"):
        return False
    return not (after == "=" and before in ("{", ",", ";"))


def _declared(found: Sequence[Token]) -> frozenset[str]:
    """Give all names that ``local``, ``for`` and functions declare, wherever they hold."""
    declared: set[str] = set()
    for index, token in enumerate(found):
        if token.text in ("local", "for", "function"):
            declared.update(_list_of_names(found, index + 1))
    return frozenset(declared)


def _list_of_names(found: Sequence[Token], index: int) -> Iterator[str]:
    while found[index].kind == "name" or found[index].text in _IN_LISTS:
        if found[index].kind == "name":
            yield found[index].text
        elif found[index].text == ":":
            yield "self"
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


def _note_id(hyphenated: dict[str, str], source: str, end: int) -> None:
    """Note the id that stands behind ``nodes.``, if Lua reads something else there."""
    match = _ID.match(source, end)
    if match is None:
        return
    whole = match[1]
    name = _LUA_NAME.match(whole)
    short = name[0] if name else ""
    if short != whole or short in KEYWORDS:
        hyphenated[short] = whole


def _path(found: Sequence[Token], names: Collection[str]) -> tuple[str | int, ...] | None:
    if found[0].text not in names:
        return None
    path: list[str | int] = [found[0].text]
    index = 0
    while found[index + 1] is not _END:
        field = _field(found, index)
        if field is None:
            number = found[index + 2]
            if found[index + 1].text != "[" or found[index + 3].text != "]":
                return None
            if number.kind != "number" or not number.text.isdecimal():
                return None
            field_or_index: str | int = int(found[index + 2].text[:18])
            index += 3
        else:
            field_or_index, index = field
        path.append(field_or_index)
    return tuple(path)


def _unknown(
    source: str,
    found: Sequence[Token],
    index: int,
    names: Sequence[str],
    hyphenated: dict[str, str],
) -> Malformed:
    name = found[index].text
    if name == "len" and found[index + 1].text == "(":
        argument = re.search(r"\blen\s*\(\s*([\w.\[\]\"'-]+)\s*\)", source)
        return Malformed("unknown name 'len'", f"#{argument[1] if argument else '…'}")
    if name in ("secrets", "secret"):
        field = _field(found, index)
        return Malformed(
            "expressions see no secrets", f"$secret{{{field[0] if field else 'NAME'}}}"
        )
    for short, whole in hyphenated.items():
        if name in whole or not short:
            return Malformed(f"unknown name {name!r}", f'nodes["{whole}"]')
    if source == name and name.isupper():
        return Malformed(f"unknown name {name!r}", f"$${{{name}}}")
    return Malformed(f"unknown name {name!r}", nearest(name, [*names, *sorted(LIBRARY)]))

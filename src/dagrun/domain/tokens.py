"""Cuts the text of a Lua expression into tokens, as far as dagrun must understand it."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

KEYWORDS: Final = frozenset(
    (
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    )
)
"""Words that can never be names in Lua."""

OPENING: Final = {"(": ")", "[": "]", "{": "}"}
CLOSING: Final = frozenset(")]}")

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--\[(?P<c>=*)\[.*?\](?P=c)\]|--(?!\[=*\[)[^\r\n]*)
      |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      |(?P<string>"(?:[^"\\\r\n]|\\z\s*+|\\\r\n|\\[^z])*+"|'(?:[^'\\\r\n]|\\z\s*+|\\\r\n|\\[^z])*+'
                 |\[(?P<l>=*)\[.*?\](?P=l)\])
      |(?P<number>0[xX][0-9A-Fa-f.]+(?:[pP][+-]?[0-9]+)?|\.?[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?)
      |(?P<symbol>::|\.\.\.|\.\.|[=~<>]=|//|<<|>>|--|.)""",
    re.DOTALL | re.VERBOSE | re.ASCII,
)
_PLAIN: Final = re.compile(r"""(["'])([^\\]*)\1""", re.DOTALL)


class Unfinished(ValueError):
    """A string, long bracket or comment has no end. The message says which."""


class Token(NamedTuple):
    """One word, string, number or symbol."""

    kind: str
    """``name``, ``string``, ``number`` or ``symbol``; a keyword is a symbol."""

    text: str
    """As it is written."""

    start: int
    """Index of its first character."""

    end: int
    """Index after its last character."""


def tokens(source: str, start: int = 0) -> Iterator[Token]:
    """Give the tokens of ``source`` from ``start`` on, without spaces and comments.

    Raises:
        Unfinished: a string or a comment has no end.
    """
    for match in _TOKEN.finditer(source, start):
        kind = match.lastgroup or "symbol"
        text = match[0]
        if kind == "name":
            yield Token("symbol" if text in KEYWORDS else kind, text, *match.span())
        elif kind == "symbol":
            _check_symbol(source, match.start(), text)
            yield Token(kind, text, *match.span())
        elif kind in ("string", "number"):
            yield Token(kind, text, *match.span())


def literal(token: Token) -> str | None:
    """Give the value of a string without escapes; None for any other token."""
    match = _PLAIN.fullmatch(token.text) if token.kind == "string" else None
    return match[2] if match else None


def _check_symbol(source: str, start: int, text: str) -> None:
    if text in ("'", '"'):
        raise Unfinished(f"the string that begins with {source[start : start + 20]!r} has no end")
    if text == "--":
        raise Unfinished("a long comment has no end")
    if text == "[" and re.match(r"\[=*\[", source[start : start + 40]):
        raise Unfinished("a long string has no end")

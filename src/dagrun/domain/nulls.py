"""Lets ``== json.null`` hold in Lua for what is null, which Lua reads as nil.

Lua finds nil unlike any other value and asks nobody. So where ``json.null`` itself is compared, the
operator is replaced by one that asks it: ``x == json.null`` by ``x <= json.null``, and ``~=`` by
``<``. These bind as the others do, are as long, and mean nothing else for it.

This module is imported by worker processes, so it stays cheap to import.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Final

from dagrun.domain.tokens import Token, Unfinished, tokens

_ASKING: Final = {"==": "<=", "~=": "< "}
_BINDS: Final = frozenset(
    (".", ":", "^", "*", "/", "//", "%", "+", "-", "..", "<<", ">>", "&", "~", "|", "#", "not")
)
"""What takes ``json.null`` before a comparison does."""

_CALLS: Final = frozenset(("[", "(", "{"))
"""What does so behind it. A call with a string fails in any case."""


def with_null_tests(code: str) -> str:
    """Give the code with these operators replaced.

    >>> with_null_tests("if inputs.a ~= json.null then return {} end")
    'if inputs.a <  json.null then return {} end'

    Code that cannot be read is given back as it is, for Lua to complain of.
    """
    if "null" not in code:
        return code
    try:
        found = list(tokens(code))
    except Unfinished:
        return code
    parts, end = [], 0
    for operator in _comparisons(found):
        parts += [code[end : operator.start], _ASKING[operator.text]]
        end = operator.end
    return "".join([*parts, code[end:]])


def _comparisons(found: Sequence[Token]) -> Iterator[Token]:
    """Give the operators beside a ``json.null``, each once, in their order."""
    texts = ["", *(token.text for token in found), ""]
    last = 0
    for index, text in enumerate(texts):
        if text != "null" or texts[index - 2 : index] != ["json", "."]:
            continue
        before, after = index - 3, index + 1
        if last < before and _is_operand(texts, before, after, _BINDS | _CALLS):
            yield found[before - 1]
        if _is_operand(texts, after, before, _BINDS):
            yield found[after - 1]
            last = after


def _is_operand(texts: Sequence[str], operator: int, other: int, part_of_more: Set[str]) -> bool:
    return texts[operator] in _ASKING and texts[other] not in part_of_more

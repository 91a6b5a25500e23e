"""Finds the ``${…}`` in shell and Python code that no part of the code can mean."""

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Final

MARK: Final = re.compile(r"\$\{[^{}]*\}")

_SHELL: Final = re.compile(
    r"""(?P<skipped>\\.|'[^']*'|(?:^|(?<=[\s;&|(]))\#[^\n]*)
      |(?P<quoted>"(?:[^"\\]|\\.)*+")
      |<<(?!<)-?[ \t]*(?P<literal>['"\\]?)(?P<end>\w+)
      |(?P<mark>\$\{[^{}]*\})""",
    re.DOTALL | re.VERBOSE | re.MULTILINE,
)
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
_ITEM: Final = re.compile(
    r"(?<![\w{$])item(?:_index)?(?!\w)|eval|(?:^|[\s;&|(])\.\s|source", re.ASCII
)
"""What may give a shell variable of that name a value."""

_REPLACES: Final = re.compile(r"\.replace\(|\bTemplate\b|\bre\.")
"""What may fill in the texts of Python code."""


def in_shell(code: str) -> Iterator[str]:
    """Give those that are in no literal text: ``sh`` takes them for variables.

    No shell has variables with a dot in the name. One called ``item`` is given only if nothing sets
    it. What may be literal text after all is left out.
    """
    sets_item = _ITEM.search(code) is not None
    for mark in _outside_quotes(code):
        if not (sets_item and mark.removeprefix("${").lstrip().startswith("item")):
            yield mark


def _outside_quotes(code: str) -> Iterator[str]:
    position = 0
    while match := _SHELL.search(code, position):
        position = match.end()
        if match["mark"]:
            yield match["mark"]
        elif match["quoted"]:
            if "$(" in match["quoted"] or "`" in match["quoted"]:
                return  # commands in it have quotes of their own
            yield from MARK.findall(_ESCAPED.sub("", match["quoted"]))
        elif match["end"]:
            body = _here_document(code, position, match["end"])
            position += len(body)
            if not match["literal"]:
                yield from MARK.findall(_ESCAPED.sub("", body))


def _here_document(code: str, start: int, end: str) -> str:
    match = re.compile(rf"[^\n]*\n(?:.*?\n)??\t*{end}(?=\n|\Z)", re.DOTALL).match(code, start)
    return match[0] if match else code[start:]


def in_python(code: str) -> Iterator[str]:
    """Give those in texts that are no f-strings, of which nothing is replaced either."""
    if _REPLACES.search(code):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the node's log is the place for them
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # which the executor's options tell
    literal = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Expr)
        for part in (node.values if isinstance(node, ast.JoinedStr) else [node.value])
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in literal
        ):
            yield from MARK.findall(node.value)

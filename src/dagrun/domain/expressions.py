"""Lua expressions: ``${…}`` in a document, conditions, keys.

They are evaluated in this process, see :mod:`dagrun.domain.sandbox`; Lua itself is loaded when the
first expression is compiled that is more than the name of a value.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from dagrun.domain.nulls import with_null_tests
from dagrun.domain.sandbox import ABSENT, Kind, failure, sandbox
from dagrun.domain.tokens import tokens
from dagrun.domain.usage import Malformed, examine
from dagrun.domain.workflow import JSON

NAMES: Final = ("inputs", "nodes", "run", "env", "item", "item_index")
"""What an expression sees unless its place in the document says otherwise."""

_MISSING: Final = object()
_OPERATORS: Final = {"!=": "~=", "&&": "and", "||": "or", "=>": ">=", "=<": "<="}


class ExpressionSyntaxError(ValueError):
    """The text is no expression; whoever wrote the definition edits it."""

    def __init__(
        self, message: str, suggestion: str | None = None, path: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        """The nearest known word, or what to write instead."""
        self.path = path
        """Where it stands inside a template's value."""


class ExpressionError(ValueError):
    """An evaluation failed."""

    def __init__(self, message: str, kind: Kind = "runtime") -> None:
        super().__init__(message)
        self.kind = kind
        """``budget``, ``memory``, ``runtime``, ``output`` (a value that JSON cannot hold) or
        ``input`` (one that Lua cannot)."""


class Expression:
    """An expression that compiles."""

    __slots__ = (
        "_chunk",
        "_path",
        "_plain",
        "_whole",
        "declared",
        "fields",
        "hyphenated",
        "names",
        "nodes",
        "nodes_dynamic",
        "source",
        "through_outputs",
    )

    def __init__(self, source: str, names: Sequence[str]) -> None:
        usage = examine(source, names)
        self.source = source
        self.names = frozenset(usage.fields)
        """The names of its scope that it uses."""
        self.nodes = usage.fields.get("nodes", frozenset())
        """Ids of the nodes that it names."""
        self.nodes_dynamic = "nodes" in usage.whole
        """Whether it uses ``nodes`` otherwise, so that the ids are known only when it runs."""
        self.fields: Mapping[str, frozenset[str]] = usage.fields
        """Name of the scope → the fields of it that are named."""
        self.declared = usage.declared
        """Names that it declares itself, and which may then stand for something else."""
        self.hyphenated: Mapping[str, str] = usage.hyphenated
        """Node id → the longer id that was probably meant: ``my`` → ``my-node`` for
        ``nodes.my-node``, which Lua reads as a subtraction."""
        self.through_outputs = usage.through_outputs
        """Ids of nodes behind which ``.outputs`` and a member of that is written."""
        self._whole = usage.whole
        self._path = usage.path
        self._plain = usage.plain
        # On one line, so that Lua counts lines as the author does; the newline ends a comment.
        head = f"local {','.join(usage.fields)}=...;" if usage.fields else ""
        self._chunk = f"{head}return({with_null_tests(source)}\n)"

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def problem(self) -> str | None:
        """Give Lua's complaint about the syntax, or None."""
        return None if self._plain else sandbox().compile(self._chunk)

    def evaluate(self, scope: Mapping[str, JSON]) -> JSON:
        """Give the value. nil, and names that the scope lacks, are None.

        Raises:
            ExpressionError: it fails, takes too long or too much memory, or gives what JSON
                cannot hold.
        """
        if self._path is not None:
            value: Any = _follow(self._path, scope)
            if value is not _MISSING:
                return value
        return self._run(scope)

    def _run(self, scope: Mapping[str, JSON]) -> JSON:
        try:
            machine = sandbox()
            arguments = [
                ABSENT
                if name not in scope
                else scope[name]
                if name in self._whole
                else _part(scope[name], fields)
                for name, fields in self.fields.items()
            ]
            result: JSON = machine.evaluate(self._chunk, arguments)
        except Exception as error:  # noqa: BLE001 — lupa raises many kinds, all are told apart
            reason = failure(error)
            raise ExpressionError(f"{self._shown()}: {reason}", reason.kind) from None
        if isinstance(result, float) and not math.isfinite(result):
            raise ExpressionError(f"{self._shown()}: it gives {result}, which JSON lacks", "output")
        return result

    def _shown(self) -> str:
        return self.source if len(self.source) <= 80 else self.source[:77] + "..."


def compile_expression(source: str, *, names: Sequence[str] = NAMES) -> Expression:
    """Check and compile an expression.

    >>> expression = compile_expression("#nodes.load.rows > inputs.least")
    >>> sorted(expression.names), sorted(expression.nodes)
    (['inputs', 'nodes'], ['load'])
    >>> expression.evaluate({"nodes": {"load": {"rows": ["a", "b"]}}, "inputs": {"least": 1}})
    True

    Args:
        source: a Lua expression, without ``${`` and ``}``.
        names: what it may use besides the library.

    Raises:
        ExpressionSyntaxError: it is no Lua expression, or uses an unknown name.
    """
    try:
        expression = Expression(source, names)
        problem = expression.problem()
    except Malformed as error:
        raise ExpressionSyntaxError(str(error), error.suggestion) from None
    except UnicodeEncodeError:
        raise ExpressionSyntaxError("the text is not valid Unicode") from None
    if problem is not None:
        for whole in expression.hyphenated.values():
            raise ExpressionSyntaxError(f"nodes.{whole} is no name in Lua", f'nodes["{whole}"]')
        raise ExpressionSyntaxError(_without_our_bracket(problem, source), _in_lua(source))
    return expression


def _without_our_bracket(problem: str, source: str) -> str:
    """Do not name the bracket that was put behind the expression to compile it."""
    if source.count(")") > source.count("("):
        return problem
    return re.sub(r"near '\)'$", "near its end", problem)


def _in_lua(source: str) -> str | None:
    """Say how Lua writes an operator that other languages write otherwise."""
    symbols = [token.text for token in tokens(source) if token.kind == "symbol"]
    pairs = {left + right for left, right in pairwise(symbols)}
    return next((lua for other, lua in _OPERATORS.items() if other in pairs), None)


def evaluate_condition(expression: Expression, scope: Mapping[str, JSON]) -> bool:
    """Give the boolean that the expression gives; nil and null are false.

    Raises:
        ExpressionError: it fails, or gives something else.
    """
    value = expression.evaluate(scope)
    if value is None or isinstance(value, bool):
        return bool(value)
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    raise ExpressionError(f"{expression.source}: true or false is needed, not {shown}")


def _part(value: Any, fields: frozenset[str]) -> Any:
    """Leave out the members that the expression does not read."""
    if not isinstance(value, Mapping):
        return value
    return {field: value[field] for field in fields if field in value}


def _follow(path: tuple[str | int, ...], scope: Mapping[str, JSON]) -> Any:
    """Walk a plain path without Lua. ``_MISSING``: let Lua decide, and word the error."""
    value: Any = scope.get(str(path[0]))
    for key in path[1:]:
        if value is None:
            return None
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list):
            value = value[key - 1] if isinstance(key, int) and 0 < key <= len(value) else None
        else:
            return _MISSING
    return value

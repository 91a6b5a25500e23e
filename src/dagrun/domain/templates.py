"""JSON values whose strings may hold ``${…}``, and in some places ``$secret{…}``."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

import attrs

from dagrun.domain.document.places import Path, nearest
from dagrun.domain.expressions import (
    NAMES,
    Expression,
    ExpressionSyntaxError,
    compile_expression,
)
from dagrun.domain.sandbox import shared_time
from dagrun.domain.tokens import Unfinished, tokens
from dagrun.domain.workflow import JSON

SECRETS: Final = "$secret"
"""Under this name the scope has the values of secrets; it is no name that an expression can use."""

_MARK: Final = re.compile(r"\$\$?(secret)?\{")
_PLAIN: Final = re.compile(r"[^{}\"'\[-]*\}")
"""An expression without strings, comments and braces, up to the one that ends it."""

_NOTHING: Final = frozenset[str]()
_Render = Callable[[Mapping[str, JSON]], Any]


class NoSecretHere(ExpressionSyntaxError):
    """A secret stands where none can."""


class Template:
    """A value that is filled in from a scope."""

    __slots__ = (
        "_render",
        "_value",
        "constant",
        "expressions",
        "names",
        "nodes",
        "nodes_dynamic",
    )

    def __init__(
        self, value: JSON, render: _Render | None, expressions: Sequence[tuple[Path, Expression]]
    ) -> None:
        self._value = value
        self._render = render
        self.constant = render is None
        """Whether there is nothing to fill in anywhere."""
        self.expressions = tuple(expressions)
        """Each expression behind its path inside the value."""
        parts = [expression for _, expression in expressions]
        self.names = _NOTHING.union(*(part.names for part in parts))
        """The names of the scope that are used."""
        self.nodes = _NOTHING.union(*(part.nodes for part in parts))
        """Ids of the nodes that are named."""
        self.nodes_dynamic = any(part.nodes_dynamic for part in parts)
        """Whether ``nodes`` is used in a way that names no node."""

    def render(self, scope: Mapping[str, JSON]) -> Any:
        """Fill in. A constant gives the same object each time; do not change it.

        Raises:
            ExpressionError: an expression fails, or all of them take too long together.
        """
        if self._render is None:
            return self._value
        if len(self.expressions) < 2:
            return self._render(scope)
        with shared_time():
            return self._render(scope)


def compile_template(
    value: JSON, *, names: Sequence[str] = NAMES, secrets: Collection[str] | None = None
) -> Template:
    """Find and compile the ``${…}`` of a value; ``$${`` stands for a literal ``${``.

    A string that is one ``${…}`` takes the type of what it gives. In a longer one texts are put
    in as they are, null as nothing, and everything else as JSON. ``$secret{NAME}`` stands for a
    secret, ``$$secret{`` for itself; only what the document itself says is taken for one, never
    what is filled in.

    Args:
        value: where to look.
        names: what expressions may use.
        secrets: the secrets that may be named; None where no secret can stand.

    >>> template = compile_template({"next": "${inputs.n + 1}", "text": "n=${inputs.n} $${n}"})
    >>> template.render({"inputs": {"n": 2}})
    {'next': 3, 'text': 'n=2 ${n}'}

    Raises:
        ExpressionSyntaxError: one does not compile, has no end, or names no secret; ``path``
            says where.
    """
    compiler = _Compiler(names, secrets)
    constant, render = compiler.compile(value, ())
    return Template(constant, render, compiler.found)


def is_one_expression(text: str) -> bool:
    """Whether a text is one ``${…}`` and nothing beside it; a broken one counts as such.

    >>> [is_one_expression(text) for text in ("${inputs.a}", "${'}'}", "${1}${2}", "a", "${")]
    [True, True, False, False, True]
    """
    if not text.startswith("${"):
        return False
    try:
        return _closing(text, 2) == len(text) - 1
    except ExpressionSyntaxError:
        return True


def has_mark(value: JSON) -> bool:
    """Whether a value holds ``${`` or ``$secret{`` anywhere, so that it may become another."""
    if isinstance(value, str):
        return "${" in value or "$secret{" in value
    if isinstance(value, Mapping):
        return any(map(has_mark, value.values()))
    return isinstance(value, list | tuple) and any(map(has_mark, value))


def has_secret(value: JSON) -> bool:
    """Whether a value holds ``$secret{`` anywhere."""
    if isinstance(value, str):
        return "$secret{" in value
    if isinstance(value, Mapping):
        return any(map(has_secret, value.values()))
    return isinstance(value, list | tuple) and any(map(has_secret, value))


@attrs.frozen
class _Secret:
    """A secret that a text names."""

    name: str

    def evaluate(self, scope: Mapping[str, JSON]) -> Any:
        return scope[SECRETS][self.name]


_Part = str | Expression | _Secret


class _Compiler:
    """Turns values into functions; what is constant stays a value, with None for a function."""

    def __init__(self, names: Sequence[str], secrets: Collection[str] | None) -> None:
        self._names = names
        self._secrets = secrets
        self.found: list[tuple[Path, Expression]] = []

    def compile(self, value: Any, path: Path) -> tuple[Any, _Render | None]:
        if isinstance(value, str):
            return self._text(value, path) if has_mark(value) else (value, None)
        if isinstance(value, Mapping):
            return self._object(value, path)
        if isinstance(value, list | tuple):
            return self._array(value, path)
        return value, None

    def _object(self, value: Mapping[str, Any], path: Path) -> tuple[Any, _Render | None]:
        parts = {key: self.compile(member, (*path, key)) for key, member in value.items()}
        constant = {key: member for key, (member, _) in parts.items()}
        renders = [(key, render) for key, (_, render) in parts.items() if render]
        if not renders:
            return (value if _same(constant.values(), value.values()) else constant), None
        return None, lambda scope: constant | {key: render(scope) for key, render in renders}

    def _array(self, value: Sequence[Any], path: Path) -> tuple[Any, _Render | None]:
        parts = [self.compile(element, (*path, index)) for index, element in enumerate(value)]
        if not any(render for _, render in parts):
            constant = [element for element, _ in parts]
            return (value if _same(constant, value) else constant), None
        return None, lambda scope: [
            element if render is None else render(scope) for element, render in parts
        ]

    def _text(self, text: str, path: Path) -> tuple[Any, _Render | None]:
        try:
            parts = [self._part(kind, part) for kind, part in _split(text)]
        except ExpressionSyntaxError as error:
            raise type(error)(str(error), error.suggestion, path) from None
        for part in parts:
            if isinstance(part, Expression):
                self.found.append((path, part))
        if len(parts) == 1 and not isinstance(parts[0], str):
            return None, parts[0].evaluate
        if all(isinstance(part, str) for part in parts):
            return "".join(map(str, parts)), None
        return None, lambda scope: "".join(_joined(part, scope) for part in parts)

    def _part(self, kind: "_Kind", text: str) -> _Part:
        if kind is _Kind.CODE:
            return compile_expression(text, names=self._names)
        return self._secret(text) if kind is _Kind.SECRET else text

    def _secret(self, name: str) -> _Secret:
        if self._secrets is None:
            raise NoSecretHere("a secret cannot stand here; the text itself is written $$secret{")
        if name not in self._secrets:
            message = f"the document declares no secret {name[:60]!r}"
            raise ExpressionSyntaxError(message, nearest(name, self._secrets))
        return _Secret(name)


class _Kind(Enum):
    TEXT = auto()
    CODE = auto()
    SECRET = auto()


def _split(text: str) -> Iterator[tuple[_Kind, str]]:
    """Give the parts of a string: what each is, and its text."""
    position = 0
    while (mark := _MARK.search(text, position)) is not None:
        if mark.start() > position:
            yield _Kind.TEXT, text[position : mark.start()]
        if mark[0].startswith("$$"):
            yield _Kind.TEXT, mark[0][1:]
            position = mark.end()
        else:
            end = _closing_name(text, mark.end()) if mark[1] else _closing(text, mark.end())
            yield (_Kind.SECRET if mark[1] else _Kind.CODE), text[mark.end() : end]
            position = end + 1
    if position < len(text):
        yield _Kind.TEXT, text[position:]


def _closing_name(text: str, start: int) -> int:
    """Give the index of the brace that ends the name of a secret."""
    end = text.find("}", start)
    if end < 0:
        raise ExpressionSyntaxError("$secret{ is not closed by }", "$$secret{")
    return end


def _closing(text: str, start: int) -> int:
    """Give the index of the brace that ends the expression at ``start``."""
    plain = _PLAIN.match(text, start)
    if plain is not None:
        return plain.end() - 1
    depth = 0
    try:
        for token in tokens(text, start):
            if token.text == "{":
                depth += 1
            elif token.text == "}":
                if depth == 0:
                    return token.start
                depth -= 1
    except Unfinished as error:
        raise ExpressionSyntaxError(f"${{ is not closed: {error}", "$${") from None
    raise ExpressionSyntaxError("${ is not closed by }", "$${")


def _joined(part: _Part, scope: Mapping[str, JSON]) -> str:
    if isinstance(part, str):
        return part
    value: Any = part.evaluate(scope)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _same(new: Any, old: Any) -> bool:
    """Whether compiling left every part as it was."""
    return all(one is other for one, other in zip(new, old, strict=True))

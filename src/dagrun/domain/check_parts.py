"""Checks of what stands in many places of a workflow: numbers, schemas, templates, variables."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from dagrun.domain.check_graph import References
from dagrun.domain.document.catalogue import Catalogue, check_options
from dagrun.domain.document.likely import likely_executor
from dagrun.domain.document.places import Finding, Path, nearest
from dagrun.domain.durations import LONGEST
from dagrun.domain.expressions import Expression, ExpressionSyntaxError, compile_expression
from dagrun.domain.templates import NoSecretHere, compile_template, has_mark, has_secret
from dagrun.domain.wellformed import schema_findings
from dagrun.domain.workflow import ExecutorSpec, Node

Findings = Iterator[Finding]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS: Final = "names that begin with DAGRUN_ are reserved"
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Also what an object of Kubernetes may be called, such as ``1db``."""

_SECRET: Final = re.compile(r"[a-z][a-z0-9-]*:.+", re.DOTALL)


@attrs.frozen
class Site:
    """What the expressions of one place may use."""

    references: References
    names: Sequence[str]
    node: Node | None = None
    """Whose expressions they are; None for those that are evaluated when all nodes have ended."""

    secrets: Collection[str] | None = None
    """Secrets that may be named; None where none can stand."""

    secret_options: Collection[str] = ()
    """Options of the same node's executor in which they can stand."""

    ended: bool = False
    """Whether the expressions see how the run went."""

    def check(self, expression: Expression, path: Path) -> Findings:
        """Check the nodes that an expression names."""
        return self.references.check(expression, path, self.node, ended=self.ended)


def check_positive(seconds: float | None, path: Path) -> Findings:
    """Check a time limit."""
    if seconds is not None and not 0 < seconds <= LONGEST:
        yield Finding(path=path, message=f"a time above 0 is needed, not {seconds:g}")


def check_range(number: int | float, low: float, high: float, path: Path) -> Findings:
    """Check that a number lies between two others, which it may equal."""
    if not low <= number <= high:
        shown = f"{number:g}" if isinstance(number, float) else str(number)
        message = f"a number from {low:.12g} to {high:.12g} is needed, not {shown}"
        yield Finding(path=path, message=message)


def check_schema(
    schema: Mapping[str, Any] | None,
    path: Path,
    *,
    extra: Callable[[Mapping[str, Any]], Findings],
) -> Findings:
    """Check that a JSON Schema is one; if so, give what ``extra`` finds in it."""
    if schema is None:
        return
    wrong = schema_findings(schema)
    for finding in wrong or extra(schema):
        whole = "it is no JSON Schema: " if wrong and not finding.path else ""
        message = f"{whole}{finding.message}"
        yield attrs.evolve(finding, path=(*path, *finding.path), message=message)


def check_env(env: Mapping[str, Any], path: Path, site: Site) -> Findings:
    """Check the names of variables, and the templates of their values."""
    for name in env:
        if not _VARIABLE.fullmatch(name):
            message = f"{name!r} is no name of a variable"
            yield Finding(path=(*path, name), message=message, on_key=True)
        elif name.startswith("DAGRUN_"):
            yield Finding(path=(*path, name), message=_OURS, on_key=True)
    for name, value in env.items():
        if isinstance(value, str) and "\0" in value:
            message = "a NUL character cannot be in an environment"
            yield Finding(path=(*path, name), message=message)
    yield from check_template(env, path, site)


def check_secrets(secrets: Mapping[str, str], path: Path) -> Findings:
    """Check that each secret says where it comes from."""
    for name, reference in secrets.items():
        if not _SECRET_NAME.fullmatch(name):
            message = f"{name!r} is no name of a secret"
            yield Finding(path=(*path, name), message=message, on_key=True)
        elif name.startswith("DAGRUN_"):
            yield Finding(path=(*path, name), message=_OURS, on_key=True)
        if not _SECRET.fullmatch(reference):
            message = f"write provider:reference, such as env:{name}"
            yield Finding(path=(*path, name), message=message)


def check_template(value: Any, path: Path, site: Site) -> Findings:
    """Check every ``${…}`` of a value."""
    if isinstance(value, str):
        if has_mark(value):
            yield from _check_text(value, path, site)
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from check_template(member, (*path, key), site)
    elif isinstance(value, list | tuple):
        for index, element in enumerate(value):
            yield from check_template(element, (*path, index), site)


def _check_text(text: str, path: Path, site: Site) -> Findings:
    try:
        template = compile_template(text, names=site.names, secrets=site.secrets)
    except ExpressionSyntaxError as error:
        message = _no_secret(site) if isinstance(error, NoSecretHere) else str(error)
        yield Finding(path=path, message=message, suggestion=error.suggestion)
        return
    for _, expression in template.expressions:
        yield from site.check(expression, path)


def _no_secret(site: Site) -> str:
    places = ", ".join(sorted(site.secret_options))
    where = f", but in the executor's {places}" if places else ""
    return f"a secret cannot stand here{where}; the text itself is written $$secret{{"


def check_expression(source: str, path: Path, site: Site) -> Findings:
    """Check an expression that stands without ``${`` and ``}``."""
    if source.lstrip().startswith("${"):
        yield Finding(path=path, message="write the expression without ${ and }")
        return
    try:
        expression = compile_expression(source, names=site.names)
    except ExpressionSyntaxError as error:
        yield Finding(path=path, message=str(error), suggestion=error.suggestion)
        return
    yield from site.check(expression, path)


def check_executor(
    spec: ExecutorSpec, path: Path, site: Site, catalogue: Catalogue, secrets: Collection[str]
) -> Findings:
    """Check the type and the options of an executor, which may name secrets in some of them."""
    kind = catalogue.executors.get(spec.type)
    if kind is None:
        yield unknown(spec.type, (*path, "type"), "executor", catalogue.executors)
        return
    open_ = spec.options.keys() - kind.literal_options
    for key, value in spec.options.items():
        if key in open_:
            may_name = key in kind.secret_options and has_secret(value)
            place = attrs.evolve(site, secrets=secrets) if may_name else site
            yield from check_template(value, (*path, key), place)
    env = spec.options.get("env")
    for name in env if isinstance(env, Mapping) else ():
        if name.startswith("DAGRUN_"):
            yield Finding(path=(*path, "env", name), message=_OURS, on_key=True)
    unfinished = {key for key in open_ if has_mark(spec.options[key])}
    yield from check_options(kind.options, spec.options, path, unfinished=unfinished)


def unknown(word: str, path: Path, kind: str, known: Collection[str]) -> Finding:
    """Say that nothing of that name is installed, and what is."""
    installed = ", ".join(sorted(known)) or "none"
    shown = word if len(word) <= 60 else word[:57] + "..."
    return Finding(
        path=path,
        message=f"no {kind} is called {shown!r}; installed: {installed}",
        suggestion=likely_executor(word, known) if kind == "executor" else nearest(word, known),
    )


def no_effect(path: Path, reason: str) -> Finding:
    """Say that a key changes nothing."""
    return Finding(path=path, message=f"it has no effect: {reason}", on_key=True)

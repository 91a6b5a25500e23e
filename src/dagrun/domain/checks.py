"""What must hold for a workflow, whether it came from a document or was built in Python."""

import copy
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dagrun.domain.document.catalogue import Catalogue, check_options, has_mark
from dagrun.domain.document.places import Finding, Path, nearest
from dagrun.domain.expressions import (
    NAMES,
    Expression,
    ExpressionSyntaxError,
    compile_expression,
)
from dagrun.domain.graph import find_cycle, is_ancestor
from dagrun.domain.ids import is_id
from dagrun.domain.plan import RETRY_NAMES
from dagrun.domain.schema import schema_problem
from dagrun.domain.scope import MAX_ITEMS
from dagrun.domain.templates import compile_template
from dagrun.domain.versions import is_version
from dagrun.domain.workflow import (
    ExecutorSpec,
    Handler,
    Node,
    RetryPolicy,
    Trigger,
    TriggerRule,
    Workflow,
)
from dagrun.errors import Problem

MAX_ATTEMPTS: Final = 1_000_000
MAX_PRIORITY: Final = 1_000_000
KEYLESS_BALANCERS: Final = frozenset({"round-robin", "least-loaded", "least-connections"})
"""Balancers that look at no key."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET: Final = re.compile(r"[a-z][a-z0-9-]*:.+", re.DOTALL)
_ID: Final = "an id has 1 to 128 letters, digits, _ and -"
_RUN_NAMES: Final = ("inputs", "run", "env")
_ITEM_NAMES: Final = frozenset({"item", "item_index"})

Findings = Iterator[Finding]


def check_workflow(workflow: Workflow, catalogue: Catalogue) -> list[Problem]:
    """Give everything that is wrong with a workflow built in Python; empty when it is right."""
    return [finding.locate(None, None) for finding in check(workflow, catalogue)]


def check(workflow: Workflow, catalogue: Catalogue) -> list[Finding]:
    """Give everything that is wrong, with key paths of a ``dagrun/v1`` document."""
    return [
        *_check_head(workflow),
        *_check_graph(workflow.nodes),
        *_check_nodes(workflow, catalogue),
        *_check_triggers(workflow.triggers, catalogue),
        *_check_handlers(workflow.handlers, catalogue),
    ]


# the workflow as a whole


def _check_head(workflow: Workflow) -> Findings:
    yield from _check_id(workflow.id, ("metadata", "id"))
    if not is_version(workflow.version):
        message = f"{workflow.version!r} is no semantic version, such as 1.0.0"
        yield Finding(path=("metadata", "version"), message=message)
    spec: Path = ("spec",)
    yield from _check_schema(workflow.inputs, (*spec, "inputs"))
    yield from _check_template(
        dict(workflow.outputs), (*spec, "outputs"), ("nodes", *_RUN_NAMES), _Nodes(workflow.nodes)
    )
    yield from _check_env(workflow.env, (*spec, "env"), ("inputs", "run"))
    yield from _check_secrets(workflow.secrets, (*spec, "secrets"))
    yield from _check_positive(workflow.timeout, (*spec, "timeout"))
    yield from _check_positive(workflow.start_timeout, (*spec, "start_timeout"))
    yield from _check_range(workflow.priority, -MAX_PRIORITY, MAX_PRIORITY, (*spec, "priority"))
    yield from _check_concurrency(workflow)
    yield from _check_placement(workflow)


def _check_concurrency(workflow: Workflow) -> Findings:
    concurrency, path = workflow.concurrency, ("spec", "concurrency")
    if concurrency is not None:
        yield from _check_range(concurrency.limit, 1, 1_000_000, (*path, "limit"))
        yield from _check_template(concurrency.key, (*path, "key"), _RUN_NAMES, None)


def _check_placement(workflow: Workflow) -> Findings:
    placement, path = workflow.placement, ("spec", "placement")
    if placement.key is None:
        return
    yield from _check_template(placement.key, (*path, "key"), _RUN_NAMES, None)
    if placement.balancer in KEYLESS_BALANCERS:
        message = f"it has no effect: the balancer {placement.balancer} looks at no key"
        yield Finding(path=(*path, "key"), message=message, on_key=True)


def _check_triggers(triggers: Sequence[Trigger], catalogue: Catalogue) -> Findings:
    counts = Counter(trigger.id for trigger in triggers if trigger.id)
    for number, trigger in enumerate(triggers):
        path: Path = ("spec", "triggers", number)
        if trigger.id:
            yield from _check_id(trigger.id, (*path, "id"))
        if counts[trigger.id] > 1:
            message = f"{trigger.id!r} is the id of {counts[trigger.id]} triggers"
            yield Finding(path=(*path, "id"), message=message)
        yield from _check_trigger(trigger, path, catalogue)


def _check_trigger(trigger: Trigger, path: Path, catalogue: Catalogue) -> Findings:
    info = catalogue.triggers.get(trigger.type)
    if info is None:
        yield _unknown(trigger.type, (*path, "type"), "trigger", catalogue.triggers)
        return
    findings = check_options(info.options, trigger.options, path)
    yield from findings
    if not findings and info.check is not None:
        for option, message in info.check(trigger.options).items():
            yield Finding(path=(*path, option), message=message)


def _check_handlers(handlers: Mapping[Any, Handler], catalogue: Catalogue) -> Findings:
    for event, handler in handlers.items():
        path: Path = ("spec", "handlers", str(event))
        names = ("nodes", *_RUN_NAMES, "error")
        yield from _check_executor(handler.executor, path, names, None, catalogue)
        yield from _check_template(handler.inputs, (*path, "inputs"), names, None)
        yield from _check_env(handler.env, (*path, "env"), names)
        yield from _check_positive(handler.timeout, (*path, "timeout"))


# the graph


def _check_graph(nodes: Sequence[Node]) -> Findings:
    if not nodes:
        yield Finding(path=("spec", "nodes"), message="a workflow has at least one node")
    counts = Counter(node.id for node in nodes)
    sound = True
    for number, node in enumerate(nodes):
        path: Path = ("spec", "nodes", number)
        yield from _check_id(node.id, (*path, "id"))
        if counts[node.id] > 1:
            message = f"{node.id!r} is the id of {counts[node.id]} nodes"
            yield Finding(path=(*path, "id"), message=message)
        for finding in _check_dependencies(node, path, counts):
            sound = False
            yield finding
    cycle = find_cycle({node.id: node.dependencies for node in nodes}) if sound else None
    if cycle is not None:
        number = next(n for n, node in enumerate(nodes) if node.id == cycle[0])
        message = f"the nodes depend on each other in a circle: {' → '.join(cycle)}"
        yield Finding(path=("spec", "nodes", number, "dependencies"), message=message)


def _check_dependencies(node: Node, path: Path, known: Mapping[str, int]) -> Findings:
    for number, dependency in enumerate(node.dependencies):
        place = (*path, "dependencies", number)
        if dependency == node.id:
            yield Finding(path=place, message=f"the node {node.id!r} depends on itself")
        elif dependency not in known:
            message = f"there is no node {dependency!r}"
            yield Finding(path=place, message=message, suggestion=nearest(dependency, known))
        elif dependency in node.dependencies[:number]:
            yield Finding(path=place, message=f"{dependency!r} stands here twice")


class _Nodes:
    """Which nodes an expression may name."""

    def __init__(self, nodes: Sequence[Node], node: Node | None = None) -> None:
        self._graph = {one.id: one.dependencies for one in nodes}
        self.node = node

    def at(self, node: Node) -> "_Nodes":
        """Give the same for expressions of one node."""
        other = copy.copy(self)
        other.node = node
        return other

    def complaint(self, name: str, meant: str | None) -> tuple[str, str | None] | None:
        """Say why a node may not be named here, and what to write instead."""
        if meant is not None and name not in self._graph and meant in self._graph:
            return f"nodes.{meant} is read as a subtraction", f'nodes["{meant}"]'
        if name not in self._graph:
            return f"there is no node {name!r}", nearest(name, self._graph)
        node = self.node
        if node is None or name in node.dependencies:
            return None
        if name == node.id or not is_ancestor(self._graph, node.id, name):
            return f"{name!r} is no ancestor of {node.id!r}; add it to its dependencies", None
        return None


# nodes


def _check_nodes(workflow: Workflow, catalogue: Catalogue) -> Findings:
    everything = _Nodes(workflow.nodes)
    for number, node in enumerate(workflow.nodes):
        path: Path = ("spec", "nodes", number)
        nodes = everything.at(node)
        names = NAMES if node.for_each is not None else _WITHOUT_ITEM
        yield from _check_executor(node.executor, path, names, nodes, catalogue)
        if node.inputs is not None:
            yield from _check_template(node.inputs, (*path, "inputs"), names, nodes)
        if node.env:
            yield from _check_env(node.env, (*path, "env"), names, nodes)
        if node.when is not None:
            yield from _check_expression(node.when, (*path, "when"), _WITHOUT_ITEM, nodes)
        yield from _check_items(node, path, nodes)
        yield from _check_retry(node.retry, (*path, "retry"))
        yield from _check_rest(node, path)


_WITHOUT_ITEM: Final = tuple(name for name in NAMES if name not in _ITEM_NAMES)


def _check_executor(
    spec: ExecutorSpec, path: Path, names: Sequence[str], nodes: _Nodes | None, catalogue: Catalogue
) -> Findings:
    path = (*path, "executor")
    kind = catalogue.executors.get(spec.type)
    if kind is None:
        yield _unknown(spec.type, (*path, "type"), "executor", catalogue.executors)
        return
    for key, value in spec.options.items():
        if key not in kind.literal_options and has_mark(value):
            yield from _check_template(value, (*path, key), names, nodes)
    yield from check_options(
        kind.options, _without_literals(spec, kind.literal_options), path, open_=True
    )


def _without_literals(spec: ExecutorSpec, literal: frozenset[str]) -> Mapping[str, Any]:
    """Hide ``${`` where it means nothing, so that it does not count as something to fill in."""
    if not any(key in literal and has_mark(value) for key, value in spec.options.items()):
        return spec.options
    return {
        key: value.replace("${", "$") if key in literal and isinstance(value, str) else value
        for key, value in spec.options.items()
    }


def _check_items(node: Node, path: Path, nodes: _Nodes) -> Findings:
    if node.for_each is None:
        if node.max_parallel is not None:
            yield _no_effect((*path, "max_parallel"), "the node has no for_each")
        if node.tolerate:
            yield _no_effect((*path, "tolerate"), "the node has no for_each")
        return
    place = (*path, "for_each")
    if isinstance(node.for_each, str):
        if not (node.for_each.startswith("${") and node.for_each.endswith("}")):
            message = "a list is needed, or one ${…} that gives a list"
            yield Finding(path=place, message=message)
    elif len(node.for_each) > MAX_ITEMS:
        message = f"it has {len(node.for_each)} items; at most {MAX_ITEMS} are allowed"
        yield Finding(path=place, message=message)
        return
    value = node.for_each if isinstance(node.for_each, str) else list(node.for_each)
    yield from _check_template(value, place, _WITHOUT_ITEM, nodes)
    if node.max_parallel is not None:
        yield from _check_range(node.max_parallel, 1, 1_000_000, (*path, "max_parallel"))
    yield from _check_range(node.tolerate, 0, MAX_ITEMS, (*path, "tolerate"))


def _check_retry(retry: RetryPolicy, path: Path) -> Findings:
    if retry == _NO_RETRY:
        return
    yield from _check_range(retry.max_attempts, 1, MAX_ATTEMPTS, (*path, "max_attempts"))
    yield from _check_range(retry.backoff, 1, 1000, (*path, "backoff"))
    yield from _check_range(retry.jitter, 0, 1, (*path, "jitter"))
    if retry.max_attempts == 1:
        yield _no_effect(path, "max_attempts is 1, so nothing is tried again")
    if retry.when is not None:
        yield from _check_expression(retry.when, (*path, "when"), RETRY_NAMES, None)


_NO_RETRY: Final = RetryPolicy()


def _check_rest(node: Node, path: Path) -> Findings:
    yield from _check_positive(node.timeout, (*path, "timeout"))
    if node.trigger_rule is not TriggerRule.ALL_SUCCEEDED and not node.dependencies:
        yield _no_effect((*path, "trigger_rule"), "the node has no dependencies")
    if node.secrets:
        yield from _check_secrets(node.secrets, (*path, "secrets"))
    if node.outputs is not None:
        yield from _check_schema(node.outputs, (*path, "outputs"))
    for name, amount in node.requires.resources.items():
        if not amount > 0 or math.isinf(amount):
            message = f"an amount above 0 is needed, not {amount!r}"
            yield Finding(path=(*path, "requires", "resources", name), message=message)


# parts


def _check_id(text: str, path: Path) -> Findings:
    if not is_id(text):
        shown = repr(text) if len(text) <= 60 else f"a text of {len(text)} characters"
        yield Finding(path=path, message=f"{shown} is no id: {_ID}")


def _check_positive(seconds: float | None, path: Path) -> Findings:
    if seconds is not None and not seconds > 0:
        yield Finding(path=path, message=f"a time above 0 is needed, not {seconds:g}")


def _check_range(number: float, low: float, high: float, path: Path) -> Findings:
    if not low <= number <= high:
        message = f"a number from {low:g} to {high:g} is needed, not {number!r}"
        yield Finding(path=path, message=message)


def _check_schema(schema: Mapping[str, Any] | None, path: Path) -> Findings:
    if schema is not None and (problem := schema_problem(schema)) is not None:
        yield Finding(path=path, message=f"it is no JSON Schema: {problem}")


def _check_env(
    env: Mapping[str, Any], path: Path, names: Sequence[str], nodes: _Nodes | None = None
) -> Findings:
    for name in env:
        if not _VARIABLE.fullmatch(name):
            yield Finding(
                path=(*path, name), message=f"{name!r} is no name of a variable", on_key=True
            )
        elif name.startswith("DAGRUN_"):
            message = "names that begin with DAGRUN_ are reserved"
            yield Finding(path=(*path, name), message=message, on_key=True)
    yield from _check_template(env, path, names, nodes)


def _check_secrets(secrets: Mapping[str, str], path: Path) -> Findings:
    for name, reference in secrets.items():
        if not _SECRET.fullmatch(reference):
            message = f"write provider:reference, such as env:{name}"
            yield Finding(path=(*path, name), message=message)


def _check_template(value: Any, path: Path, names: Sequence[str], nodes: _Nodes | None) -> Findings:
    if value is None or not has_mark(value):
        return
    try:
        template = compile_template(value, names=names)
    except ExpressionSyntaxError as error:
        yield Finding(path=(*path, *error.path), message=str(error), suggestion=error.suggestion)
        return
    for place, expression in template.expressions:
        yield from _check_names(expression, (*path, *place), nodes)


def _check_expression(
    source: str, path: Path, names: Sequence[str], nodes: _Nodes | None
) -> Findings:
    try:
        expression = compile_expression(source, names=names)
    except ExpressionSyntaxError as error:
        yield Finding(path=path, message=str(error), suggestion=error.suggestion)
        return
    yield from _check_names(expression, path, nodes)


def _check_names(expression: Expression, path: Path, nodes: _Nodes | None) -> Findings:
    if nodes is None:
        return
    for name in sorted(expression.nodes):
        complaint = nodes.complaint(name, expression.hyphenated.get(name))
        if complaint is not None:
            yield Finding(path=path, message=complaint[0], suggestion=complaint[1])


def _unknown(word: str, path: Path, kind: str, known: Mapping[str, Any]) -> Finding:
    installed = ", ".join(sorted(known)) or "none"
    return Finding(
        path=path,
        message=f"no {kind} is called {word!r}; installed: {installed}",
        suggestion=nearest(word, known),
    )


def _no_effect(path: Path, reason: str) -> Finding:
    return Finding(path=path, message=f"it has no effect: {reason}", on_key=True)

"""Checks of the nodes of a workflow.

These keys of a node would have no effect, and are errors: ``max_parallel`` and ``tolerate``
without ``for_each``; a ``trigger_rule`` without ``dependencies``; any other key of ``retry`` while
``max_attempts`` is 1. Numbers that people turn up and down may leave others without effect for a
while: ``backoff`` with two attempts, ``backoff`` and ``jitter`` with a ``first_delay`` of 0. And what
an executor makes of ``kill_after``, ``env`` and ``secrets`` is not known here.
"""

import math
from typing import Final

import attrs

from dagrun.domain.check_children import check_caller
from dagrun.domain.check_code import check_code
from dagrun.domain.check_graph import References
from dagrun.domain.check_parts import (
    Findings,
    Site,
    check_env,
    check_executor,
    check_expression,
    check_positive,
    check_range,
    check_schema,
    check_secrets,
    check_template,
    no_effect,
)
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.places import Finding, Path
from dagrun.domain.durations import LONGEST
from dagrun.domain.expressions import NAMES
from dagrun.domain.output_schema import outputs_findings
from dagrun.domain.plan import RETRY_NAMES
from dagrun.domain.scope import MAX_ITEMS
from dagrun.domain.templates import is_one_expression
from dagrun.domain.workflow import NO_RETRY, Node, RetryPolicy, TriggerRule, Workflow

MAX_ATTEMPTS: Final = 1_000_000
MAX_PARALLEL: Final = 1_000_000
MAX_BACKOFF: Final = 1000

_OF_ITEM: Final = frozenset({"item", "item_index"})
_WITHOUT_ITEM: Final = tuple(name for name in NAMES if name not in _OF_ITEM)


def check_nodes(workflow: Workflow, references: References, catalogue: Catalogue) -> Findings:
    """Check all nodes but for their ids and dependencies."""
    labels: dict[str, tuple[str, str]] = {}
    for number, node in enumerate(workflow.nodes):
        path: Path = ("spec", "nodes", number)
        names = _WITHOUT_ITEM if node.for_each is None else NAMES
        kind = catalogue.executors.get(node.executor.type)
        options = () if kind is None else kind.secret_options
        site = Site(references, names, node, secret_options=options)
        secrets = {*workflow.secrets, *node.secrets} if node.secrets else workflow.secrets
        yield from check_executor(node.executor, (*path, "executor"), site, catalogue, secrets)
        yield from check_caller(node, path)
        variables = {*workflow.env, *node.env, *secrets}
        yield from check_code(node.executor, (*path, "executor"), site, catalogue, variables)
        if node.inputs is not None:
            yield from check_template(node.inputs, (*path, "inputs"), site)
        if node.env:
            yield from check_env(node.env, (*path, "env"), site)
        before = site if names is _WITHOUT_ITEM else attrs.evolve(site, names=_WITHOUT_ITEM)
        yield from _check_before(node, path, before)
        yield from _check_rest(node, path, references)
        yield from _check_labels(node, path, labels)


def _check_labels(node: Node, path: Path, known: dict[str, tuple[str, str]]) -> Findings:
    """Check that one engine can have all labels that a node and those before it require.

    Args:
        node: the node.
        path: of the node.
        known: label → value and the id of the first node that requires it.
    """
    for name, value in node.requires.labels.items():
        other, first = known.setdefault(name, (value, node.id))
        if other != value:
            message = (
                f"node {first!r} requires {other!r}, and one engine executes all nodes of a run"
            )
            yield Finding(path=(*path, "requires", "labels", name), message=message)


def _check_before(node: Node, path: Path, site: Site) -> Findings:
    """Check what is evaluated before there are items."""
    if node.when is not None:
        yield from check_expression(node.when, (*path, "when"), site)
    if node.for_each is not None:
        yield from _check_items(node, path, site)
        return
    if node.max_parallel is not None:
        yield no_effect((*path, "max_parallel"), "the node has no for_each")
    if node.tolerate:
        yield no_effect((*path, "tolerate"), "the node has no for_each")


def _check_items(node: Node, path: Path, site: Site) -> Findings:
    items, place = node.for_each, (*path, "for_each")
    if isinstance(items, str):
        if not is_one_expression(items):
            message = "a list is needed, or one ${…} that gives a list"
            yield Finding(path=place, message=message)
        yield from check_template(items, place, site)
    elif items is not None and len(items) > MAX_ITEMS:
        message = f"it has {len(items)} items; at most {MAX_ITEMS} are allowed"
        yield Finding(path=place, message=message)
    else:
        yield from check_template(items, place, site)
    if node.max_parallel is not None:
        yield from check_range(node.max_parallel, 1, MAX_PARALLEL, (*path, "max_parallel"))
    yield from check_range(node.tolerate, 0, MAX_ITEMS, (*path, "tolerate"))


def _check_rest(node: Node, path: Path, references: References) -> Findings:
    if node.timeout is not None:
        yield from check_positive(node.timeout, (*path, "timeout"))
    if not 0 <= node.kill_after <= LONGEST:
        yield from check_range(node.kill_after, 0, LONGEST, (*path, "kill_after"))
    if node.retry is not NO_RETRY and node.retry != NO_RETRY:
        yield from _check_retry(node.retry, (*path, "retry"), Site(references, RETRY_NAMES))
    if node.trigger_rule is not TriggerRule.ALL_SUCCEEDED and not node.dependencies:
        yield no_effect((*path, "trigger_rule"), "the node has no dependencies")
    if node.secrets:
        yield from check_secrets(node.secrets, (*path, "secrets"))
    if node.outputs is not None:
        yield from check_schema(node.outputs, (*path, "outputs"), extra=outputs_findings)
    for name, amount in node.requires.resources.items():
        if not amount > 0 or math.isinf(amount):
            message = f"an amount above 0 is needed, not {amount!r}"
            yield Finding(path=(*path, "requires", "resources", name), message=message)


def _check_retry(retry: RetryPolicy, path: Path, site: Site) -> Findings:
    yield from check_range(retry.max_attempts, 1, MAX_ATTEMPTS, (*path, "max_attempts"))
    yield from check_range(retry.backoff, 1, MAX_BACKOFF, (*path, "backoff"))
    yield from check_range(retry.jitter, 0, 1, (*path, "jitter"))
    yield from check_range(retry.first_delay, 0, LONGEST, (*path, "first_delay"))
    yield from check_range(retry.max_delay, 0, LONGEST, (*path, "max_delay"))
    if retry.first_delay > retry.max_delay:
        message = f"it is longer than max_delay ({retry.max_delay:g} s), which no delay passes"
        yield Finding(path=(*path, "first_delay"), message=message)
    if retry.max_attempts == 1:
        yield no_effect(path, "max_attempts is 1, so nothing is tried again")
    if retry.when is not None:
        yield from check_expression(retry.when, (*path, "when"), site)

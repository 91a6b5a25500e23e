"""A workflow made ready for execution: ids become numbers, expressions are compiled.

One plan serves all runs of a workflow version in a process. Nothing in it changes, but that an
engine may keep with a step what it made of its options.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from dagrun.domain.entry import NOTHING, Needs
from dagrun.domain.expressions import NAMES, Expression, compile_expression
from dagrun.domain.handlers import NAMES as HANDLER_NAMES
from dagrun.domain.handlers import as_node
from dagrun.domain.output_schema import OutputSchema
from dagrun.domain.templates import Template, compile_template, has_secret
from dagrun.domain.workflow import (
    Durability,
    ExecutorSpec,
    HandlerEvent,
    Node,
    OnEngineLoss,
    TriggerRule,
    Workflow,
)

RETRY_NAMES: Final = ("error", "attempt", "inputs", "run", "env")
"""What an expression in ``retry.when`` may use."""


@attrs.frozen(kw_only=True)
class Handling:
    """What an executor says about the way its nodes are to be handled."""

    strict: bool
    """Default of ``durability``: whether starts and ends wait for the disk."""

    limited: bool
    """Whether a node counts against ``DAGRUN_PARALLEL``."""

    literal_options: frozenset[str] = frozenset()
    """Options in which ``${…}`` means nothing."""

    secret_options: frozenset[str] = frozenset()
    """Options in which ``$secret{…}`` may stand."""


@attrs.define(eq=False)
class Step:
    """One node of a plan, or a handler. Numbers are positions in :attr:`Plan.steps`.

    Those are in document order. Handlers depend on all of them, and are numbered behind them.
    """

    index: int
    node: Node
    dependencies: tuple[int, ...]
    dependents: tuple[int, ...]
    rule: TriggerRule
    strict: bool
    """Whether its ends are durable before dependants start."""

    guarded_start: bool
    """Whether its ``node.running`` is durable before it starts."""

    limited: bool
    """Whether it counts against ``DAGRUN_PARALLEL``."""

    announced: bool
    """Whether something is evaluated and journaled before it starts: ``when``, ``for_each``."""

    when: Expression | None
    items: Template | None
    inputs: Template | None
    """None: the run's inputs."""

    env: Template
    """The node's own ``env``, without the workflow's."""

    options: Template
    """The executor's options without the literal ones, and those that name secrets."""

    secret_options: Template | None
    """The options that name secrets, if there are any."""

    literal_options: Mapping[str, Any]
    retry_when: Expression | None
    secrets: Mapping[str, str]
    """Name → reference of the secrets that the node is given."""
    output_schema: OutputSchema | None
    """What the outputs of the node, or of each item, must fit."""

    handles: HandlerEvent | None = None
    """When it runs, if it is a handler; None for a node of the graph."""

    prepared: Any = None
    """What an engine made of options that hold neither ``${…}`` nor secrets."""


@attrs.frozen(eq=False)
class Plan:
    """A workflow that can be executed."""

    workflow: Workflow
    steps: tuple[Step, ...]
    by_id: Mapping[str, Step]
    env: Template
    """The workflow's ``env``; it is filled in once a run, from ``inputs`` and ``run``."""

    outputs: Template
    concurrency_key: Template | None
    placement_key: Template | None
    handlers: tuple[Step, ...] = ()
    needs: Needs = NOTHING
    """What an engine must have to execute it."""


def compile_plan(workflow: Workflow, handling: Callable[[ExecutorSpec], Handling]) -> Plan:
    """Compile a workflow that :func:`~dagrun.domain.document.built.check_workflow` finds right.

    Args:
        workflow: what to execute.
        handling: says for a node's executor how its nodes are to be handled.
    """
    numbers = {node.id: index for index, node in enumerate(workflow.nodes)}
    dependents: list[list[int]] = [[] for _ in workflow.nodes]
    for index, node in enumerate(workflow.nodes):
        for dependency in node.dependencies:
            dependents[numbers[dependency]].append(index)
    steps = tuple(
        _step(
            index,
            node,
            numbers,
            tuple(dependents[index]),
            handling(node.executor),
            {**workflow.secrets, **node.secrets} if node.secrets else workflow.secrets,
        )
        for index, node in enumerate(workflow.nodes)
    )
    return Plan(
        workflow,
        steps,
        {step.node.id: step for step in steps},
        compile_template(dict(workflow.env)),
        compile_template(dict(workflow.outputs)),
        None if workflow.concurrency is None else compile_template(workflow.concurrency.key),
        None if workflow.placement.key is None else compile_template(workflow.placement.key),
        _handlers(workflow, handling),
        _needs(workflow),
    )


def _needs(workflow: Workflow) -> Needs:
    """Put together what the nodes need. Of a resource it is what the greediest node needs."""
    specs = [node.executor for node in workflow.nodes]
    specs += [handler.executor for handler in workflow.handlers.values()]
    labels: set[tuple[str, str]] = set()
    resources: dict[str, float] = {}
    for node in workflow.nodes:
        labels |= set(node.requires.labels.items())
        for name, amount in node.requires.resources.items():
            resources[name] = max(resources.get(name, 0.0), amount)
    return Needs(
        executors=frozenset(spec.type for spec in specs),
        labels=frozenset(labels),
        resources=frozenset(resources.items()),
    )


def _handlers(workflow: Workflow, handling: Callable[[ExecutorSpec], Handling]) -> tuple[Step, ...]:
    if not workflow.handlers:
        return ()
    everything = tuple(range(len(workflow.nodes)))
    return tuple(
        attrs.evolve(
            _step(
                index,
                as_node(event, handler),
                {},
                (),
                handling(handler.executor),
                workflow.secrets,
                HANDLER_NAMES,
            ),
            dependencies=everything,
            handles=event,
        )
        for index, (event, handler) in enumerate(workflow.handlers.items(), len(everything))
    )


def _step(
    index: int,
    node: Node,
    numbers: Mapping[str, int],
    dependents: tuple[int, ...],
    handling: Handling,
    secrets: Mapping[str, str],
    names: Sequence[str] = NAMES,
) -> Step:
    dependencies = tuple(numbers[dependency] for dependency in node.dependencies)
    options = node.executor.options
    literal = {key: options[key] for key in options if key in handling.literal_options}
    inputs = None if node.inputs is None else compile_template(dict(node.inputs), names=names)
    own_env = compile_template(dict(node.env), names=names)
    naming = {
        key: options[key]
        for key in options
        if key in handling.secret_options and has_secret(options[key])
    }
    own_options = compile_template(
        {key: value for key, value in options.items() if key not in literal and key not in naming},
        names=names,
    )
    strict = _is_strict(node, handling)
    return Step(
        index=index,
        node=node,
        dependencies=dependencies,
        dependents=dependents,
        rule=node.trigger_rule,
        strict=strict,
        guarded_start=strict or node.on_engine_loss is OnEngineLoss.FAIL,
        limited=handling.limited,
        announced=node.when is not None or node.for_each is not None,
        when=None if node.when is None else compile_expression(node.when),
        items=None if node.for_each is None else compile_template(_items(node.for_each)),
        inputs=inputs,
        env=own_env,
        options=own_options,
        literal_options=literal,
        secret_options=_secret_options(naming, names, secrets),
        retry_when=_retry_when(node),
        secrets=secrets,
        output_schema=None if node.outputs is None else OutputSchema(node.outputs),
    )


def _secret_options(
    naming: Mapping[str, Any], names: Sequence[str], secrets: Mapping[str, str]
) -> Template | None:
    return compile_template(naming, names=names, secrets=secrets) if naming else None


def _is_strict(node: Node, handling: Handling) -> bool:
    return handling.strict if node.durability is None else node.durability is Durability.STRICT


def _items(for_each: str | tuple[Any, ...]) -> Any:
    return for_each if isinstance(for_each, str) else list(for_each)


def _retry_when(node: Node) -> Expression | None:
    if node.retry.when is None:
        return None
    return compile_expression(node.retry.when, names=RETRY_NAMES)

"""What expressions see: the values of a run, decoded from its journal only as far as needed."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from dagrun.domain.expressions import Expression, ExpressionError, evaluate_condition
from dagrun.domain.jsonvalue import MAX_AGGREGATE, NotJson, Raw, decode, encode
from dagrun.domain.state import NodeState, RunState, Work
from dagrun.domain.templates import SECRETS, Template

MAX_ITEMS: Final = 100_000
"""Most items that ``for_each`` may have."""

MAX_KEY: Final = 1000
"""Characters of a key for concurrency or placement."""

KEPT: Final = 16
"""Nodes of a run whose decoded outputs are kept."""


def run_inputs(state: RunState) -> Mapping[str, Any]:
    """Give the run's inputs."""
    if "inputs" not in state.cache:
        state.cache["inputs"] = decode(state.inputs)
    inputs: Mapping[str, Any] = state.cache["inputs"]
    return inputs


def run_facts(state: RunState) -> dict[str, Any]:
    """Give what expressions see as ``run``; those of handlers see what it came to, too."""
    outcome = state.outcome
    if outcome is None:
        return _identity(state)
    return {**_identity(state), "status": str(outcome.status), "error": _run_error(state)}


def _identity(state: RunState) -> dict[str, Any]:
    workflow = state.plan.workflow
    return {"id": state.run_id, "workflow_id": workflow.id, "version": workflow.version}


def _run_error(state: RunState) -> dict[str, str] | None:
    error = None if state.outcome is None else state.outcome.error
    return None if error is None else dict(error)


def run_env(state: RunState) -> Mapping[str, str]:
    """Give the document's ``env``, filled in once.

    Raises:
        ExpressionError: an expression in it fails.
    """
    if "env" not in state.cache:
        template = state.plan.env
        state.cache["env"] = _text(
            template.render({"inputs": run_inputs(state), "run": _identity(state)})
        )
    env: Mapping[str, str] = state.cache["env"]
    return env


def node_env(state: RunState, work: Work) -> Mapping[str, str]:
    """Give the document's ``env`` with the node's on top.

    Raises:
        ExpressionError: an expression in it fails.
    """
    template = work.node.step.env
    if template.constant and not work.node.step.node.env:
        return run_env(state)
    return {**run_env(state), **_text(_render(state, work, template))}


def node_inputs(state: RunState, work: Work) -> Mapping[str, Any]:
    """Give what the node's code sees as ``inputs``.

    Raises:
        ExpressionError: an expression in it fails.
    """
    template = work.node.step.inputs
    if template is None:
        return run_inputs(state)
    inputs: Mapping[str, Any] = _render(state, work, template)
    return inputs


def raw_inputs(state: RunState, work: Work) -> Raw:
    """Give the same as JSON text.

    Raises:
        ExpressionError: an expression in it fails.
        NotJson: it is larger than the outputs of all items of a node may be.
    """
    if work.node.step.inputs is None:
        return state.inputs
    return encode(node_inputs(state, work), limit=MAX_AGGREGATE)


def node_options(
    state: RunState, work: Work, secrets: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, Any]:
    """Give the executor's options with all filled in; those under ``env`` are text.

    Args:
        state: the run.
        work: the node or item.
        secrets: name → value; no expression sees them.

    Raises:
        ExpressionError: an expression in it fails.
    """
    step = work.node.step
    options = {**_render(state, work, step.options), **step.literal_options}
    if step.secret_options is not None:
        seen = _scope(state, work, step.secret_options)
        options |= step.secret_options.render({**seen, SECRETS: secrets})
    elif step.options.constant:
        return options
    if isinstance(options.get("env"), Mapping):
        options["env"] = _text(options["env"])
    return options


def direct_outputs(state: RunState, work: Work) -> dict[str, Raw]:
    """Give id → outputs of the direct dependencies, null for one that did not succeed."""
    dependencies = (state.nodes[index] for index in work.node.step.dependencies)
    return {node.step.node.id: node.result() for node in dependencies}


def announcement(state: RunState, node: NodeState) -> dict[str, Any]:
    """Evaluate ``when`` and ``for_each``; give the data of the node's ``node.ready``.

    Raises:
        ExpressionError: an expression fails, or gives no boolean, or no list.
    """
    step = node.step
    data: dict[str, Any] = {}
    if step.when is not None:
        data["when"] = evaluate_condition(step.when, _scope(state, node, step.when))
    if step.items is not None and data.get("when", True):
        data["items"] = _items(_render(state, node, step.items))
    return data


def _items(value: Any) -> Raw:
    if not isinstance(value, list):
        raise ExpressionError(f"for_each needs a list, not {_kind(value)}")
    if len(value) > MAX_ITEMS:
        raise ExpressionError(f"for_each has {len(value)} items; at most {MAX_ITEMS} are allowed")
    return encode(value, limit=MAX_AGGREGATE)


def run_outputs(state: RunState) -> Raw:
    """Fill in the outputs of a run that succeeded.

    Raises:
        ExpressionError: an expression fails.
        NotJson: they are too large.
    """
    template = state.plan.outputs
    nodes = _mentions(state, range(len(state.nodes)), template)
    scope = _values(state, template.names, nodes)
    return encode(template.render(scope), limit=MAX_AGGREGATE)


def run_key(state: RunState, template: Template) -> str:
    """Fill in a key that a run has from its beginning, such as that of its concurrency limit.

    Raises:
        ExpressionError: an expression fails, or the key is too long.
    """
    key = _as_text("key", template.render(_values(state, template.names, ())))
    if len(key) > MAX_KEY:
        raise ExpressionError(f"the key has {len(key)} characters; at most {MAX_KEY} are allowed")
    return key


def may_retry(state: RunState, work: Work, error: Mapping[str, str]) -> bool:
    """Evaluate ``retry.when``.

    Raises:
        ExpressionError: it fails, or gives no boolean.
    """
    condition = work.node.step.retry_when
    if condition is None:
        return True
    scope = _values(state, condition.names, ())
    scope |= {"error": dict(error), "attempt": work.attempt}
    return evaluate_condition(condition, scope)


def _render(state: RunState, work: Work, template: Template) -> Any:
    if template.constant:
        return template.render({})
    return template.render(_scope(state, work, template))


def _scope(state: RunState, work: Work, part: Template | Expression) -> dict[str, Any]:
    step = work.node.step
    nodes = _mentions(state, step.dependencies, part)
    scope = _values(state, part.names, nodes)
    if work.index is not None and work.node.values is not None:
        scope |= {"item": work.node.values[work.index], "item_index": work.index}
    return scope


def _mentions(
    state: RunState, dependencies: Iterable[int], part: Template | Expression
) -> Iterable[int]:
    """Give the nodes that the part looks at: those named, or all direct dependencies."""
    by_id = state.plan.by_id
    named = {by_id[name].index for name in part.nodes if name in by_id}
    return named.union(dependencies) if part.nodes_dynamic else named


def _values(state: RunState, names: Iterable[str], nodes: Iterable[int]) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    for name in names:
        if name == "nodes":
            scope[name] = {
                state.nodes[index].step.node.id: _outputs(state, index) for index in nodes
            }
        elif name == "inputs":
            scope[name] = run_inputs(state)
        elif name == "run":
            scope[name] = run_facts(state)
        elif name == "env":
            scope[name] = run_env(state)
        elif name == "error":
            scope[name] = _run_error(state)
    return scope


def _outputs(state: RunState, index: int) -> Any:
    """Give a node's outputs, decoded once for all who look at them in a row, such as items."""
    decoded = state.cache.setdefault("outputs", {})
    if index not in decoded:
        raw = state.nodes[index].result()
        if not state.nodes[index].ended:
            return None
        if len(decoded) >= KEPT:
            decoded.clear()
        decoded[index] = decode(raw)
    return decoded[index]


def _text(env: Mapping[str, Any]) -> dict[str, str]:
    """Turn filled-in values into text: null into nothing, and all that is no text into JSON."""
    return {name: _as_text(name, value) for name, value in env.items()}


def _as_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    try:
        text = value if isinstance(value, str) else bytes(encode(value)).decode()
    except NotJson as error:
        raise ExpressionError(f"env {name}: {error}", "output") from error
    if "\0" in text:
        raise ExpressionError(f"env {name}: a NUL character cannot be in an environment")
    return text


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}.get(
        type(value), "a number"
    )

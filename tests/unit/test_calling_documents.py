"""Documents with nodes that run other workflows: what is said when they are wrong."""

import pytest

from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.documents import catalogue, load_text

KNOWN = catalogue(load_plugins().registry)
HEAD = """apiVersion: dagrun/v1
kind: Workflow
metadata: {id: w, version: 1.0.0}
spec:
"""


def problems(spec):
    try:
        load_text(HEAD + spec, KNOWN)
    except DefinitionError as error:
        return [(problem.path, problem.message) for problem in error.problems]
    return []


def of_node(executor, more=""):
    return problems(f"  nodes: [{{id: a, executor: {{type: workflow, {executor}}}{more}}}]")


@pytest.mark.parametrize(
    "executor",
    [
        "id: child",
        "id: child, version: ^1.2",
        "id: child, version: '>=1,<2', wait: false",
        'id: "${inputs.which}", version: "${inputs.version}"',
    ],
)
def test_what_a_node_may_say(executor):
    assert of_node(executor, ", inputs: {x: 1}, for_each: [1], retry: {max_attempts: 2}") == []


@pytest.mark.parametrize(
    ("executor", "path", "message"),
    [
        ("version: ^1", "executor", "the key 'id' is missing"),
        ("id: ../x", "executor", "'id' names no workflow: '../x' is no id"),
        ("id: x, version: new", "executor", "'version': 'new' is no version, and no range"),
        ("id: x, wait: maybe", "executor.wait", "true or false is needed, not 'maybe'"),
        ("id: x, wait: '${inputs.w}'", "executor.wait", "true or false is needed"),
        ("id: x, inputs: {}", "executor.inputs", "write them beside `executor`"),
    ],
)
def test_what_is_wrong_with_the_options(executor, path, message):
    found = of_node(executor)
    assert all(place == f"spec.nodes[0].{path}" for place, _ in found)
    assert any(message in said for _, said in found)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("timeout: 5m", "set `spec.timeout` of the workflow child"),
        ("on_engine_loss: fail", "the next one goes on waiting for the same run"),
        ("outputs: {type: object}", "the outputs are those of the workflow that it runs"),
    ],
)
def test_a_key_that_would_have_no_effect_is_refused_with_the_reason(key, why):
    ((path, message),) = of_node("id: child", f", {key}")
    assert path == f"spec.nodes[0].{key.partition(':')[0]}"
    assert message.startswith("it has no effect: ")
    assert why in message


def test_a_handler_can_start_a_run_and_not_wait_for_it():
    node = "{{id: a, executor: {{type: shell, command: ls}}}}"
    spec = (
        "  handlers: {{exit: {{executor: {{type: workflow, id: x{}}}}}}}\n  nodes: [" + node + "]"
    )
    ((path, message),) = problems(spec.format(""))
    assert path == "spec.handlers.exit.executor"
    assert "say `wait: false`" in message
    assert problems(spec.format(", wait: false")) == []

"""What is said of wrong keys, names and values in a document, and where they stand."""

import pytest

from dagrun.domain.document.built import check_workflow
from dagrun.domain.workflow import ExecutorSpec, HandlerEvent, Node, Workflow
from dagrun.testing.documents import CATALOGUE, HEAD, load, problems


def messages(spec):
    return [f"{problem.path}: {problem.message}" for problem in problems(HEAD + spec)]


NODE = "  nodes: [{id: a, executor: {type: any}"
HANDLER = NODE + "}]\n  handlers: {exit: {executor: {type: any}"

WRONG = {
    "  nodes: []\n": "spec.nodes: a workflow has at least one node",
    "  nodes: 3\n": "spec.nodes: ",
    "  nods: []\n": "spec: the key 'nodes' is missing",
    NODE + ", extra: 1}]\n": "spec.nodes[0].extra: the key 'extra' is not known here",
    "  nodes: [{id: a}]\n": "spec.nodes[0]: the key 'executor' is missing",
    "  nodes: [{id: a, executor: 3}]\n": "spec.nodes[0].executor: a mapping is needed, not 3",
    "  nodes: [{id: a, executor: {}}]\n": "spec.nodes[0].executor: the key 'type' is missing",
    "  nodes: [{id: a, executor: {type: 3}}]\n": "executor.type: text is needed, not 3",
    "  nodes: [{id: 3, executor: {type: any}}]\n": "spec.nodes[0].id: text is needed, not 3; use quotes",
    NODE + ", timeout: soon}]\n": "spec.nodes[0].timeout: 'soon' is no duration",
    NODE + ", timeout: 0}]\n": "spec.nodes[0].timeout: a time above 0 is needed, not 0",
    NODE + ", allow_failure: 1}]\n": "allow_failure: true or false is needed, not 1",
    NODE + ", durability: fast}]\n": "durability: 'fast' is none of batched, strict",
    NODE + ", max_parallel: 2}]\n": "max_parallel: it has no effect: the node has no for_each",
    NODE + ", tolerate: 2}]\n": "tolerate: it has no effect",
    NODE + ", trigger_rule: all_done}]\n": "trigger_rule: it has no effect: the node has no depend",
    NODE + ", retry: {backoff: 3}}]\n": "retry: it has no effect: max_attempts is 1",
    NODE + ", retry: {max_attempts: 0}}]\n": "max_attempts: a number from 1 to 1000000 is needed",
    NODE + ", retry: {max_attempts: 2, jitter: 2}}]\n": "jitter: a number from 0 to 1 is needed",
    NODE + ", retry: {max_attempts: 2, when: nodes}}]\n": "retry.when: ",
    NODE + ", for_each: 3}]\n": "for_each: a list is needed, or one ${…} that gives a list",
    NODE + ", for_each: text}]\n": "for_each: a list is needed, or one ${…}",
    NODE + ", for_each: [1], max_parallel: 0}]\n": "max_parallel: a number from 1 to",
    NODE + ", when: 'x ='}]\n": "spec.nodes[0].when: ",
    NODE + ", when: 'item'}]\n": "spec.nodes[0].when: ",
    NODE + ", inputs: {a: '${nodes.b}'}}]\n": "inputs.a: there is no node 'b'",
    NODE + ", inputs: {a: '${nodes.a}'}}]\n": "inputs.a: 'a' is no ancestor of 'a'",
    NODE + ", inputs: {a: '${item}'}}]\n": "spec.nodes[0].inputs.a: ",
    NODE + ", inputs: {a: '${inputs.x'}}]\n": "inputs.a: ${ is not closed",
    NODE + ", env: {A: 3}}]\n": "spec.nodes[0].env.A: text is needed, not 3; use quotes",
    NODE + ", env: {A-B: x}}]\n": "env.A-B: 'A-B' is no name of a variable",
    NODE + ", env: {DAGRUN_X: x}}]\n": "names that begin with DAGRUN_ are reserved",
    NODE + ", secrets: {A: x}}]\n": "secrets.A: write provider:reference, such as env:A",
    NODE + ", inputs: {a: '$secret{A}'}}]\n": "inputs.a: a secret cannot stand here",
    NODE + ", env: {A: '$secret{A}'}}]\n": "env.A: a secret cannot stand here",
    "  nodes: [{id: a, executor: {type: x, command: '$secret{A}'}}]\n": "command: a secret cannot st",
    "  nodes: [{id: a, executor: {type: any, key: '$secret{A}'}}]\n": "key: a secret cannot stand h",
    "  nodes: [{id: a, executor: {type: x, env: {A: '$secret{A}'}}}]\n": "env.A: the document declar",
    "  nodes: [{id: a, executor: {type: x, env: {A: '$secret{'}}}]\n": "env.A: $secret{ is not clos",
    "  nodes: [{id: a, executor: {type: x, env: {A: '${secrets.A}'}}}]\n": "executor.env.A: ",
    NODE + "}]\n  outputs: {a: '$secret{A}'}\n": "spec.outputs.a: a secret cannot stand here",
    NODE + ", outputs: {type: 3}}]\n": "outputs.type: 3 is no type",
    NODE + ", outputs: {type: array}}]\n": "outputs.type: a node or an item returns an object, which",
    NODE + ", outputs: {rows: {}}}]\n": "'rows' is no keyword of JSON Schema; names go under 'prop",
    NODE + ", outputs: {$ref: 'http://127.0.0.1:1/'}}]\n": "nothing is fetched from elsewhere",
    NODE + ", requires: {resources: {cpu: 0}}}]\n": "resources.cpu: an amount above 0 is needed",
    (
        NODE + ", requires: {labels: {zone: x}}},"
        " {id: b, executor: {type: any}, requires: {labels: {a: b, zone: y}}}]\n"
    ): "spec.nodes[1].requires.labels.zone: node 'a' requires 'x', and one engine",
    NODE + ", dependencies: [a]}]\n": "the node 'a' depends on itself",
    NODE + ", dependencies: [b]}]\n": "dependencies[0]: there is no node 'b'",
    NODE + ", dependencies: 3}]\n": "spec.nodes[0].dependencies: ",
    NODE + "}, {id: a, executor: {type: any}}]\n": "nodes[1].id: 'a' is the id of 2 nodes",
    NODE + "}, {id: b, executor: {type: any}, dependencies: [a, a]}]\n": "[1]: 'a' stands here twice",
    NODE + ', env: {A: "x\\0"}}]\n': "env.A: a NUL character cannot be in an environment",
    NODE + ", secrets: {A B: 'env:A'}}]\n": "secrets.A B: 'A B' is no name of a secret",
    NODE + ", secrets: {DAGRUN_A: 'env:A'}}]\n": "names that begin with DAGRUN_ are reserved",
    (
        "  nodes: [{id: a-1, executor: {type: any}},"
        " {id: c, dependencies: [a-1], executor: {type: any}, inputs: {x: '${nodes.a-1}'}}]\n"
    ): "nodes.a-1 is read as a subtraction",
    "  nodes: [{id: a, executor: {type: x, sizes: 1}}]\n": "executor.sizes: the key 'sizes' is not",
    "  nodes: [{id: a, executor: {type: x, size: big}}]\n": "executor.size: a whole number is needed",
    "  nodes: [{id: a, executor: {type: x, command: 3}}]\n": "executor.command: a list or text is n",
    "  nodes: [{id: a, executor: {type: x, code: '${', size: no}}]\n": "executor.size: a whole",
    "  nodes: [{id: a, executor: {type: x, env: '${inputs.e}', sizes: 1}}]\n": "executor.sizes: ",
    "  nodes: [{id: a, executor: {type: x, command: '${1 +}'}}]\n": "executor.command: ",
    "  nodes: [{id: a, executor: {type: schema, port: x}}]\n": "executor.port: 'x' is not of type",
    "  nodes: [{id: a, executor: {type: none}}]\n": "no executor is called 'none'; installed: any,",
    NODE + "}]\n  inputs: {type: 3}\n": "spec.inputs.type: 3 is no type",
    NODE + "}]\n  outputs: {a: '${nodes.b}'}\n": "spec.outputs.a: there is no node 'b'",
    NODE + "}]\n  env: {A: '${nodes.a}'}\n": "spec.env.A: ",
    NODE + "}]\n  timeout: -1\n": "spec.timeout: -1 is no duration",
    NODE + "}]\n  priority: 1.5\n": "spec.priority: a whole number is needed, not 1.5",
    NODE + "}]\n  priority: 9999999\n": "spec.priority: a number from",
    NODE + "}]\n  concurrency: {key: a, limit: 0}\n": "concurrency.limit: a number from 1",
    NODE + "}]\n  placement: {balancer: round-robin, key: a}\n": "placement.key: it has no effect",
    NODE + "}]\n  placement: {balancer: moon}\n": "no balancer is called 'moon'; installed: consist",
    NODE + "}]\n  handlers: {never: {executor: {type: any}}}\n": "handlers",
    NODE + "}]\n  handlers: 3\n": "spec.handlers: a mapping is needed",
    HANDLER + ", extra: 1}}\n": "handlers.exit.extra: the key 'extra' is not known here",
    HANDLER + ", retry: {max_attempts: 2}}}\n": "handlers.exit.retry: the key 'retry' is not known",
    HANDLER + ", timeout: 0}}\n": "handlers.exit.timeout: a time above 0 is needed, not 0",
    HANDLER + ", inputs: {a: '${nodes.b}'}}}\n": "handlers.exit.inputs.a: there is no node 'b'",
    HANDLER + ", inputs: {a: '${item}'}}}\n": "exit.inputs.a: unknown name 'item'",
    HANDLER + ", inputs: {a: '${attempt}'}}}\n": "exit.inputs.a: unknown name 'attempt'",
    HANDLER + ", env: {A-B: x}}}\n": "handlers.exit.env.A-B: 'A-B' is no name of a variable",
    HANDLER + ", env: {DAGRUN_RUN_STATUS: x}}}\n": "names that begin with DAGRUN_ are reserved",
    NODE + "}]\n  handlers: {exit: {}}\n": "handlers.exit: the key 'executor' is missing",
    NODE + "}]\n  handlers: {exit: {executor: {type: none}}}\n": "no executor is called 'none'",
    NODE + "}]\n  handlers: {exit: {executor: {type: x, sizes: 1}}}\n": "exit.executor.sizes: the key",
    NODE + "}]\n  handlers: {exit: {executor: {type: x, command: '${1 +}'}}}\n": "executor.command: ",
    NODE + "}]\n  triggers: [{type: moon}]\n": "no trigger is called 'moon'",
    NODE + "}]\n  triggers: [{type: http, id: 3}]\n": "triggers[0].id: text is needed",
    NODE + "}]\n  triggers: [{type: http, id: a b}]\n": "triggers[0].id: 'a b' is no id",
    NODE + "}]\n  triggers: [{type: http, id: a}, {type: http, id: a}]\n": "is the id of 2 triggers",
    NODE + "}]\n  triggers: [{type: clock, at: 'no'}]\n": "spec.triggers[0].at: never",
}  # fmt: skip


@pytest.mark.parametrize("spec", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_in_a_document_is_said_with_its_key_path(spec):
    assert any(WRONG[spec] in message for message in messages(spec)), messages(spec)


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_text():
    found = problems(
        "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: ../../etc, version: v1}\n"
        "spec:\n  priority: high\n  nodes:\n    - {id: a, executor: {type: any}, tymeout: 3}\n"
        "    - {id: b, dependencies: [aa], executor: {type: any}}\n"
    )
    assert [(problem.line, problem.path) for problem in found] == [
        (3, "metadata.id"),
        (3, "metadata.version"),
        (5, "spec.priority"),
        (7, "spec.nodes[0].tymeout"),
        (8, "spec.nodes[1].dependencies[0]"),
    ]
    assert [problem.suggestion for problem in found[3:]] == ["timeout", "a"]


def test_a_cycle_is_shown_with_its_path():
    nodes = [
        Node(id=name, executor=ExecutorSpec(type="any"), dependencies=[need])
        for name, need in ("ab", "bc", "ca")
    ]
    (problem,) = check_workflow(Workflow("w", "1.0.0", nodes=nodes), CATALOGUE)
    assert "circle" in problem.message
    assert problem.message.count("→") == 3


CLOSED = (
    "  inputs: {type: object, properties: {least: {}}, additionalProperties: false}\n"
    "  env: {LEVEL: info}\n"
)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("when: 'inputs.leats > 1'", "inputs has no 'leats' (did you mean 'inputs.least'?)"),
        ("when: 'inputs[\"leats\"] > 1'", "inputs has no 'leats' (did you mean 'inputs.least'?)"),
        ("inputs: {a: '${env.LEVLE}'}", "env has no 'LEVLE' (did you mean 'env.LEVEL'?)"),
        ("inputs: {a: 'of ${run.run_id}'}", "run has no 'run_id', but id, workflow_id, version"),
        (
            "retry: {max_attempts: 2, when: 'error.typ == \"x\"'}",
            "error has no 'typ' (did you mean 'error.type'?)",
        ),
        ("when: 'run.status == nil'", "run has no 'status', but id, workflow_id, version"),
    ],
)
def test_a_field_that_is_never_there_is_an_error(field, told):
    (problem,) = problems(HEAD + CLOSED + NODE + ", " + field + "}]\n")
    assert told in str(problem)


@pytest.mark.parametrize(
    ("more", "used"),
    [
        ("  inputs: {properties: {least: {}}}\n", "inputs.leats"),
        ("  inputs: {additionalProperties: false, patternProperties: {a: {}}}\n", "inputs.a"),
        (CLOSED, "inputs._trigger_id or inputs.least or inputs"),
        ("", "run.id or run.version or inputs.anything"),
        ("", "(function() local run = {speed = 1} return run.speed end)() > 0"),
    ],
)
def test_a_field_that_may_be_there_is_none(more, used):
    load(HEAD + more + NODE + ", when: '" + used + "'}]\n")


def test_naming_a_node_far_behind_is_allowed_and_beside_is_not():
    def node(name, *needs, **fields):
        executor = ExecutorSpec(type="any")
        return Node(id=name, executor=executor, dependencies=needs, **fields)

    base = [node("a"), node("b", "a"), node("c", "b"), node("other")]
    good = node("d", "c", inputs={"x": "${nodes.a}"})
    bad = node("d", "c", inputs={"x": "${nodes.other}"})
    hyphen = [node("my-node"), node("e", "my-node", when="nodes.my-node == nil")]
    assert check_workflow(Workflow("w", "1.0.0", nodes=[*base, good]), CATALOGUE) == []
    (problem,) = check_workflow(Workflow("w", "1.0.0", nodes=[*base, bad]), CATALOGUE)
    assert "'other' is no ancestor of 'd'" in problem.message
    (problem,) = check_workflow(Workflow("w", "1.0.0", nodes=hyphen), CATALOGUE)
    assert problem.suggestion == 'nodes["my-node"]'


def test_a_handler_may_name_every_node_and_sees_how_the_run_went():
    text = (
        HEAD
        + """
  env: {LEVEL: info}
  nodes: [{id: a, executor: {type: any}}, {id: b, executor: {type: any}}]
  handlers:
    failure:
      executor: {type: any, text: "${nodes.a.x} ${nodes.b.y} ${error.message}"}
      inputs: {all: "${nodes}", how: "${run.status}", why: "${run.error.type}", asked: "${inputs}"}
      env: {LEVEL: "${env.LEVEL}"}
"""
    )
    assert load(text).handlers[HandlerEvent.FAILURE].env == {"LEVEL": "${env.LEVEL}"}


@pytest.mark.parametrize("name", ["../../etc", "..", "%2e%2e%2f", "a/b", "", "x" * 10_000, "a\0b"])
def test_what_is_no_id_is_refused_everywhere(name):
    nodes = [Node(id=name, executor=ExecutorSpec(type="any"))]
    found = check_workflow(Workflow(name, "1.0.0", nodes=nodes), CATALOGUE)
    assert {problem.path for problem in found} == {"metadata.id", "spec.nodes[0].id"}
    assert all(len(problem.message) < 300 for problem in found)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nodes: 3", "spec.nodes: a list is needed, not 3"),
        ("nodes: abc", "spec.nodes: a list is needed, not 'abc'"),
        ("nodes: {a: {id: b}}", "spec.nodes: a list is needed, not a mapping"),
        ("nodes: [3]", "spec.nodes[0]: a mapping is needed, not 3"),
        ("nodes: [{id: a, dependencies: abc, EX}]", "dependencies: a list is needed, not 'abc'"),
        ("nodes: [{id: a, retry: 3, EX}]", "spec.nodes[0].retry: a mapping is needed, not 3"),
        ("nodes: [{id: a, requires: {resources: {b: x}}, EX}]", "resources.b: a number is needed"),
        ("concurrency: 3\n  nodes: [{id: a, EX}]", "spec.concurrency: a mapping is needed, not 3"),
        ("handlers: {failure: 3}\n  nodes: [{id: a, EX}]", "handlers.failure: a mapping is needed"),
        (
            "nodes: [{id: a, when: '${inputs.x}', EX}]",
            "when: write the expression without ${ and }",
        ),
        ("nodes: [{id: a, when: 'inputs.x ==', EX}]", "when: unexpected symbol near its end"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_the_words_of_documents(spec, said):
    text = HEAD + "  " + spec.replace("EX", "executor: {type: any}") + "\n"
    assert said in "\n".join(map(str, problems(text)))


def test_a_broken_node_does_not_hide_what_is_wrong_elsewhere():
    text = (
        HEAD
        + """
  nodes:
    - {id: a, executor: 3}
    - {executor: {type: any}}
    - {id: b, dependencies: [a, zz], when: "inputs.", executor: {type: any}}
"""
    )
    found = "\n".join(map(str, problems(text)))
    assert "spec.nodes[0].executor: a mapping is needed, not 3" in found
    assert "spec.nodes[1]: the key 'id' is missing" in found
    assert "there is no node 'zz'" in found
    assert "spec.nodes[2].when" in found
    assert "broken" not in found
    assert "there is no node 'a'" not in found


def test_options_that_may_name_secrets_name_those_of_the_workflow_and_of_the_node():
    load(
        HEAD
        + "  secrets: {ONE: 'env:ONE'}\n"
        + "  nodes:\n"
        + "    - {id: a, executor: {type: x, env: {A: 'x $secret{ONE}', B: '$$secret{TWO}'}}}\n"
        + "    - {id: b, secrets: {TWO: 'env:TWO'}, executor: {type: x, env: {A: '$secret{TWO}'}}}\n"
        + "  handlers: {exit: {executor: {type: x, env: {A: '$secret{ONE}'}}}}\n"
    )
    (problem,) = problems(
        HEAD
        + "  nodes:\n"
        + "    - {id: a, secrets: {ONE: 'env:ONE'}, executor: {type: any}}\n"
        + "    - {id: b, executor: {type: x, env: {A: '$secret{ONE}'}}}\n"
    )
    assert problem.path == "spec.nodes[1].executor.env.A"
    assert problem.line == 7


def test_a_misspelt_secret_is_told_with_the_nearest_one_and_a_broken_one_is_told_once():
    node = "  nodes: [{id: a, executor: {type: x, env: {A: '$secret{TOKEM}'}}}]\n"
    (problem,) = problems(HEAD + "  secrets: {TOKEN: 'env:TOKEN'}\n" + node)
    assert problem.suggestion == "TOKEN"
    (problem,) = problems(HEAD + "  secrets: {TOKEM: 3}\n" + node)
    assert problem.path == "spec.secrets.TOKEM"


def test_an_option_with_a_secret_may_become_any_text():
    text = HEAD + "  secrets: {A: 'env:A'}\n  nodes: [{id: a, executor: {type: x, ratio: RATIO}}]\n"
    load(text.replace("RATIO", "'$secret{A}'"))
    assert "ratio" in str(problems(text.replace("RATIO", "secret")))

"""What a workflow that was built in Python is told: the same as a document."""

import json
from datetime import timedelta

import pytest

from dagrun import (
    Concurrency,
    DefinitionError,
    ExecutorSpec,
    Node,
    RetryPolicy,
    Trigger,
    Workflow,
)
from dagrun.domain.document.built import check_workflow
from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.loader import load_document
from dagrun.domain.serialize import to_json

CATALOGUE = Catalogue(executors={"any": ExecutorKind()}, triggers={"cron": TriggerInfo()})
ANY = {"type": "any"}
DURATION = "is no duration: write seconds, or '30s', '5m', '1h30m'"


def told(nodes, **fields):
    return [
        str(p) for p in check_workflow(Workflow("w", "1.0.0", nodes=nodes, **fields), CATALOGUE)
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": 5}, "id: text is needed, not 5; use quotes"),
        ({"executor": {"code": "x"}}, "executor: the key 'type' is missing"),
        ({"executor": "any"}, "executor: a mapping is needed, not 'any'"),
        ({"executor": ExecutorSpec(type="any", options=5)}, "executor: the options are a mapping"),
        (
            {"executor": ExecutorSpec(type="any", options={"type": "lua"})},
            "executor.type: type stands in the options, too",
        ),
        ({"when": True}, "when: text is needed, not true; use quotes"),
        ({"dependencies": "abc"}, "dependencies: a list is needed, not 'abc'"),
        ({"allow_failure": "no"}, "allow_failure: true or false is needed, not 'no'"),
        ({"retry": {"max_attempts": 2.5}}, "retry.max_attempts: a whole number is needed, not 2.5"),
        ({"retry": {"backof": 2}}, "retry.backof: the key 'backof' is not known here"),
        (
            {"retry": {"max_attempts": 2, "first_delay": "soon"}},
            f"retry.first_delay: 'soon' {DURATION}",
        ),
        ({"retry": {"max_attempts": 2, "jitter": "0.1"}}, "retry.jitter: a number is needed"),
        ({"retry": 3}, "retry: a mapping is needed, not 3"),
        ({"trigger_rule": "all"}, "trigger_rule: 'all' is none of all_succeeded"),
        ({"for_each": {"a": 1}}, "for_each: a list is needed, or one ${…} that gives a list"),
        ({"for_each": {1, 2}}, "for_each: {1, 2} is nothing that JSON can hold"),
        ({"for_each": [1], "max_parallel": "2"}, "max_parallel: a whole number is needed"),
        ({"timeout": "-3s"}, f"timeout: '-3s' {DURATION}"),
        ({"timeout": timedelta(1)}, "timeout: datetime.timedelta(days=1) is nothing that JSON"),
        ({"timeout": True}, f"timeout: True {DURATION}"),
        ({"env": {"A": 1}}, "env.A: text is needed, not 1; use quotes"),
        ({"env": {1: "x"}}, "env: a key must be text, not 1"),
        ({"env": ["A"]}, "env: a mapping is needed, not a list"),
        ({"secrets": {"A": 3}}, "secrets.A: text is needed, not 3; use quotes"),
        ({"inputs": {"a": {"b": {1, 2}}}}, "inputs.a.b: {1, 2} is nothing that JSON can hold"),
        ({"outputs": [1]}, "outputs: a mapping is needed, not a list"),
        ({"requires": {"resources": {"gpu": "1"}}}, "requires.resources.gpu: a number is needed"),
    ],
)
def test_a_wrong_field_of_a_node_is_told_with_its_key_path(fields, message):
    (problem,) = told([{"id": "a", "executor": ANY, **fields}])
    assert problem.startswith("spec.nodes[0]." + message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": {"a": 1}}, "metadata.labels.a: text is needed, not 1; use quotes"),
        ({"name": 5}, "metadata.name: text is needed, not 5; use quotes"),
        ({"priority": 1.5}, "spec.priority: a whole number is needed, not 1.5"),
        ({"outputs": {"x": {1, 2}}}, "spec.outputs.x: {1, 2} is nothing that JSON can hold"),
        ({"concurrency": {"limit": 2}}, "spec.concurrency: the key 'key' is missing"),
        ({"concurrency": Concurrency(key=5)}, "spec.concurrency.key: text is needed, not 5"),
        (
            {"concurrency": {"key": "k", "on_limit": "wait"}},
            "spec.concurrency.on_limit: 'wait' is none of queue, reject, cancel_oldest",
        ),
        ({"placement": {"kee": "k"}}, "spec.placement.kee: the key 'kee' is not known here"),
        ({"handlers": {"failur": {"executor": ANY}}}, "spec.handlers.failur: 'failur' is none of"),
        ({"handlers": {"exit": {"executor": 5}}}, "spec.handlers.exit.executor: a mapping is"),
        ({"handlers": 5}, "spec.handlers: a mapping is needed, not 5"),
        ({"triggers": [5]}, "spec.triggers[0]: a mapping is needed, not 5"),
        ({"triggers": [{"id": "x"}]}, "spec.triggers[0]: the key 'type' is missing"),
        (
            {"triggers": [{"id": "", "type": "cron"}]},
            "spec.triggers[0].id: text is needed, not an empty text",
        ),
        ({"triggers": [Trigger(type=5)]}, "spec.triggers[0].type: text is needed, not 5"),
        ({"kubernetes": {"a": {1}}}, "kubernetes.a: {1} is nothing that JSON can hold"),
    ],
)
def test_a_wrong_field_of_a_workflow_is_told_with_its_key_path(fields, message):
    (problem,) = told([Node("a", executor=ANY)], **fields)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (Node("a", executor=ANY), "spec.nodes: a list is needed, not a mapping"),
        ([5], "spec.nodes[0]: a mapping is needed, not 5"),
        ([{"executor": ANY}], "spec.nodes[0]: the key 'id' is missing"),
        ([], "spec.nodes: a workflow has at least one node"),
    ],
)
def test_what_are_no_nodes_is_told(nodes, message):
    assert told(nodes) == [message]


def test_all_errors_come_at_once_also_those_that_are_none_of_types():
    nodes = [
        {"id": "a", "executor": ANY, "allow_failure": "no", "metadata": {"x": {1}}},
        Node("b", executor={"type": "nosuch"}, dependencies=["missing"]),
    ]
    assert [problem.partition(":")[0] for problem in told(nodes, priority="high")] == [
        "spec.nodes[0].metadata.x",
        "spec.nodes[0].allow_failure",
        "spec.priority",
        "spec.nodes[1].dependencies[0]",
        "spec.nodes[1].executor.type",
    ]


def test_values_that_hold_themselves_are_refused():
    value = {}
    value["again"] = [value]
    (problem,) = told([Node("a", executor=ANY, metadata=value)])
    assert problem.endswith("more than 64 levels are nested here")


def test_a_program_may_write_as_a_document_does():
    workflow = Workflow(
        "w",
        "1.0.0",
        nodes=[
            {"id": "a", "executor": ANY, "timeout": "5m", "retry": {"max_attempts": 2}},
            Node("b", executor=ANY, dependencies=(name for name in "a"), for_each=range(3)),
        ],
        timeout="1h30m",
        handlers={"exit": {"executor": ANY, "timeout": 3}},
        concurrency={"key": "k", "on_limit": "reject"},
        triggers=[{"type": "cron", "schedule": "@daily"}, {"id": "own", "type": "cron"}],
    )
    document = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": "w", "version": "1.0.0"},
        "spec": {
            "nodes": [
                {"id": "a", "executor": ANY, "timeout": "5m", "retry": {"max_attempts": 2}},
                {"id": "b", "executor": ANY, "dependencies": ["a"], "for_each": [0, 1, 2]},
            ],
            "timeout": "1h30m",
            "handlers": {"exit": {"executor": ANY, "timeout": 3}},
            "concurrency": {"key": "k", "on_limit": "reject"},
            "triggers": [{"type": "cron", "schedule": "@daily"}, {"id": "own", "type": "cron"}],
        },
    }
    assert check_workflow(workflow, CATALOGUE) == []
    loaded = load_document(json.dumps(document), file=None, catalogue=CATALOGUE)
    assert workflow == loaded
    assert to_json(workflow) == to_json(loaded)


def test_triggers_without_an_id_are_named_after_their_type():
    triggers = [Trigger(type="cron"), {"type": "cron"}, Trigger(id="cron-2", type="cron")]
    workflow = Workflow("w", "1.0.0", nodes=[Node("a", executor=ANY)], triggers=triggers)
    assert [trigger.id for trigger in workflow.triggers] == ["cron", "cron-3", "cron-2"]
    assert check_workflow(workflow, CATALOGUE) == []


def test_a_trigger_of_no_type_is_told_once():
    (problem,) = told([Node("a", executor=ANY)], triggers=[Trigger(type="no such")])
    assert problem.startswith("spec.triggers[0].type: no trigger is called 'no such'")


def test_the_messages_are_those_of_a_document():
    node = {"id": "a", "executor": ANY, "retry": {"max_attempts": 0}, "allow_failure": 1}
    head = {"apiVersion": "dagrun/v1", "kind": "Workflow"}
    document = {**head, "metadata": {"id": "w", "version": "1"}, "spec": {"nodes": [node]}}
    with pytest.raises(DefinitionError) as caught:
        load_document(json.dumps(document), file=None, catalogue=CATALOGUE)
    built = check_workflow(Workflow("w", "1", nodes=[node]), CATALOGUE)
    assert {(p.path, p.message) for p in built} == {
        (p.path, p.message) for p in caught.value.problems
    }


def test_what_a_class_cannot_take_is_kept_until_it_is_checked():
    policy = RetryPolicy(max_attempts=2, first_delay="soon", backoff="x")
    assert (policy.first_delay, policy.backoff) == ("soon", "x")
    assert len(told([Node("a", executor=ANY, retry=policy)])) == 2

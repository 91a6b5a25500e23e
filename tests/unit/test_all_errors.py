"""All that is wrong is told at once, and nothing that only follows from something else."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.loader import load_document
from dagrun.domain.document.places import Finding
from dagrun.errors import DefinitionError

CATALOGUE = Catalogue(executors={"any": ExecutorKind()}, triggers={"http": TriggerInfo()})
HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"
ANY = "executor: {type: any}"
WRONG = "  nodes: [{id: a, dependencies: [zz], executor: {type: nosuch}}]\n"
NULS = "\\0" * 16  # as a document writes it
OF_WRONG = ["spec.nodes[0].dependencies[0]", "spec.nodes[0].executor.type"]


def told(text, **more):
    with pytest.raises(DefinitionError) as caught:
        load_document(text, file=None, catalogue=CATALOGUE, **more)
    return [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("concurrency: {key: 5}", "spec.concurrency.key"),
        ("concurrency: {limit: 5}", "spec.concurrency"),
        ("concurrency: {key: a, limit: x}", "spec.concurrency.limit"),
        ("concurrency: 3", "spec.concurrency"),
        ("handlers: {failure: {executor: lua}}", "spec.handlers.failure.executor"),
        ("handlers: {failure: {executor: {}}}", "spec.handlers.failure.executor"),
        ("handlers: {failure: 3}", "spec.handlers.failure"),
        ("handlers: {failure: {}}", "spec.handlers.failure"),
        ("handlers: {never: {executor: {type: any}}}", "spec.handlers.never"),
        ("handlers: null", "spec.handlers"),
        ("placement: {balancer: 3}", "spec.placement.balancer"),
        ("triggers: 3", "spec.triggers"),
        ("triggers: [3]", "spec.triggers[0]"),
        ("triggers: [{}]", "spec.triggers[0]"),
        ("triggers: [{type: 3}]", "spec.triggers[0].type"),
        ("triggers: [{type: http, id: 3}]", "spec.triggers[0].id"),
        ("timeout: soon", "spec.timeout"),
        ("nothing: 3", "spec.nothing"),
    ],
)
def test_what_is_wrong_elsewhere_hides_nothing_of_a_node(rest, path):
    assert told(HEAD + WRONG + f"  {rest}\n") == [*OF_WRONG, path]
    assert told(HEAD + f"  {rest}\n" + WRONG) == [path, *OF_WRONG]


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ("executor: 3, when: 'inputs.'", "executor"),
        ("executor: {}, when: 'inputs.'", "executor"),
        ("executor: {type: 3}, when: 'inputs.'", "executor.type"),
        ("when: 'inputs.'", ""),
        ("executor: {type: any}, when: 'inputs.', env: {A: 3}", "env.A"),
        ("executor: {type: any}, when: 'inputs.', tymeout: 3", "tymeout"),
        ("executor: {type: any}, when: 'inputs.', requires: {resources: {a: x}}",
         "requires.resources.a"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_node_hides_nothing_else_of_it(node, path):
    found = told(HEAD + f"  nodes: [{{id: a, {node}}}]\n")
    assert sorted(found) == sorted([f"spec.nodes[0].{path}".rstrip("."), "spec.nodes[0].when"])


def test_a_wrong_trigger_hides_no_other_one():
    triggers = "[{path: /x}, {type: nosuch}, 3, {type: http, id: a b}, {type: http, id: {}}]"
    assert told(HEAD + f"  nodes: [{{id: a, {ANY}}}]\n  triggers: {triggers}\n") == [
        "spec.triggers[0]",
        "spec.triggers[1].type",
        "spec.triggers[2]",
        "spec.triggers[3].id",
        "spec.triggers[4].id",
    ]


@pytest.mark.parametrize(
    ("nodes", "paths"),
    [
        ((f"[{{id: a, {ANY}}}, {{id: b, dependencies: a, {ANY}}}, "
          f"{{id: c, dependencies: [b], when: nodes.a.x, {ANY}}}, "
          f"{{id: d, dependencies: [c], when: nodes.a.x, {ANY}}}]"),
         ["spec.nodes[1].dependencies"]),
        ((f"[{{id: a, {ANY}}}, {{id: b, dependencies: [3], when: nodes.a.x, {ANY}}}, "
          f"{{id: c, when: nodes.a.x, {ANY}}}]"),
         ["spec.nodes[1].dependencies[0]", "spec.nodes[2].when"]),
        (f"[{{id: a, dependencies: b, trigger_rule: all_done, {ANY}}}]",
         ["spec.nodes[0].dependencies"]),
        (f"[{{id: a, for_each: 3, tolerate: 1, when: item, {ANY}}}]",
         ["spec.nodes[0].for_each"]),
        (f"[{{id: broken-1, {ANY}}}, 3]", ["spec.nodes[1]"]),
        (f'[{{id: "{NULS}1", {ANY}}}, 3]', ["spec.nodes[0].id", "spec.nodes[1]"]),
        (f"[{{id: broken-1, dependencies: [broken], {ANY}}}, {{{ANY}}}]",
         ["spec.nodes[0].dependencies[0]", "spec.nodes[1]"]),
        ("3", ["spec.nodes"]),
    ],
)  # fmt: skip
def test_nothing_is_told_that_only_follows(nodes, paths):
    rest = "  outputs: {a: '${nodes.a.x}'}\n" if nodes == "3" else ""
    assert told(HEAD + f"  nodes: {nodes}\n" + rest) == paths


def test_a_name_that_was_put_in_is_never_shown():
    nodes = f"[{{{ANY}}}, {{id: unnamed, dependencies: ['0', broken], {ANY}}}, {{executor: 3}}]"
    with pytest.raises(DefinitionError) as caught:
        load_document(HEAD + f"  nodes: {nodes}\n", file=None, catalogue=CATALOGUE)
    assert "\0" not in str(caught.value)
    assert all(problem.suggestion is None for problem in caught.value.problems)


@pytest.mark.parametrize("wrong", ["  timeout: soon\n", "  outputs: {a: '${'}\n", ""])
def test_files_that_are_missing_are_told_with_everything_else(wrong):
    def complete(workflow):
        path = ("spec", "nodes", 0, "executor", "file")
        return workflow, [Finding(path=path, message="it cannot be read")]

    nodes = "  nodes: [{id: a, executor: {type: any, file: x}}, {id: b, executor: {type: none}}]\n"
    paths = told(HEAD + nodes + wrong, complete=complete)
    assert paths[:2] == ["spec.nodes[0].executor.file", "spec.nodes[1].executor.type"]
    assert len(paths) == 2 + bool(wrong)


JUNK = st.sampled_from([None, 3, "x", [], {}, [3], {"x": 1}, [[]]])
PLACES = (
    *(("spec", key) for key in ("nodes", "inputs", "env", "timeout", "concurrency", "placement")),
    *(("spec", key) for key in ("handlers", "triggers", "outputs", "priority", "secrets")),
    *(("spec", "nodes", n) for n in (0, 1)),
    *(("spec", "nodes", 1, key) for key in ("id", "executor", "dependencies", "retry", "when")),
    *(("spec", "nodes", 1, key) for key in ("for_each", "requires", "env", "extra", "durability")),
    ("spec", "nodes", 1, "executor", "type"),
    ("spec", "nodes", 1, "dependencies", 0),
    ("spec", "nodes", 1, "retry", "max_attempts"),
    ("spec", "handlers", "exit"),
    ("spec", "handlers", "exit", "executor"),
    ("spec", "handlers", "other"),
    ("spec", "triggers", 0),
    ("spec", "triggers", 0, "type"),
    ("spec", "concurrency", "key"),
    ("metadata",),
    ("metadata", "id"),
    ("kind",),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=4))
def test_however_a_document_is_damaged_an_error_elsewhere_is_still_told(damage):
    document = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": "w", "version": "1.0.0"},
        "spec": {
            "nodes": [
                {"id": "a", "executor": {"type": "any"}},
                {"id": "b", "dependencies": ["a"], "retry": {"max_attempts": 2},
                 "executor": {"type": "any"}},
                {"id": "c", "executor": {"type": "any", "wrong": "${"}},
            ],
            "handlers": {"exit": {"executor": {"type": "any"}}},
            "triggers": [{"type": "http"}],
            "concurrency": {"key": "k"},
        },
    }  # fmt: skip
    for path, value in damage:
        part = document
        try:
            for step in path[:-1]:
                part = part[step]
            part[path[-1]] = copy.deepcopy(value)
        except (LookupError, TypeError, ValueError):
            continue
    nodes = document["spec"]["nodes"]
    found = told(json.dumps(document))
    if isinstance(nodes, list) and len(nodes) == 3:
        assert "spec.nodes[2].executor.wrong" in found

"""Documents: how their text is read, and what every key becomes."""

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrun.domain.document.built import check_workflow
from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, structure_options
from dagrun.domain.document.files import inline_files
from dagrun.domain.serialize import content_hash, from_json, to_json
from dagrun.domain.workflow import (
    Durability,
    ExecutorSpec,
    HandlerEvent,
    Node,
    OnEngineLoss,
    OnLimit,
    Scope,
    TriggerRule,
    Workflow,
)
from dagrun.errors import DefinitionError
from dagrun.testing.documents import CATALOGUE, HEAD, SCHEMA, Options, load, problems

WHOLE = """
apiVersion: dagrun/v1
kind: Workflow
metadata:
  id: w
  version: 1.2.3-rc.1+build
  name: A name
  description: What it is for
  labels: {team: data}
  annotations: {note: free}
spec:
  inputs: {type: object, properties: {source: {type: string, default: api}}}
  outputs: {rows: "${nodes.b}"}
  env: {LOG_LEVEL: info, WHO: "${run.workflow_id}"}
  secrets: {KEY: "env:KEY"}
  timeout: 30m
  start_timeout: 1h
  priority: 7
  concurrency: {key: "${inputs.source}", limit: 2, on_limit: cancel_oldest, scope: global}
  placement: {balancer: consistent-hash, key: "${run.workflow_id}"}
  handlers: {failure: {executor: {type: x, code: "c"}, timeout: 5s, inputs: {a: 1}, env: {B: c}}}
  nodes:
    - id: a
      executor: {type: x, code: "return '${not looked at}'"}
    - id: b
      dependencies: [a]
      inputs: {rows: "${nodes.a.rows}", i: "${item_index}"}
      executor: {type: x, command: [run, "${item}"], size: "${item}", env: {R: "${item}"}}
      when: "nodes.a.rows > 0"
      trigger_rule: all_done
      allow_failure: true
      retry: {max_attempts: 3, first_delay: 1s, backoff: 3, max_delay: 1m30s, jitter: 0.2, when: "error.type ~= 'lua'"}
      timeout: 5m
      kill_after: 250ms
      for_each: "${inputs.list}"
      max_parallel: 4
      tolerate: 1
      on_engine_loss: fail
      durability: strict
      requires: {labels: {gpu: "yes"}, resources: {memory: 2}}
      secrets: {TOKEN: "file:/run/token"}
      env: {A: "1"}
      outputs: {type: object}
      metadata: {free: [1, 2]}
  triggers:
    - {type: http, path: /x}
    - {type: http, path: /y}
    - {id: own, type: clock, at: noon}
"""


def test_every_key_of_a_document_reaches_the_model():
    workflow = load(WHOLE)
    assert (workflow.id, workflow.version, workflow.name) == ("w", "1.2.3-rc.1+build", "A name")
    assert (workflow.timeout, workflow.start_timeout, workflow.priority) == (1800.0, 3600.0, 7)
    assert workflow.concurrency.on_limit is OnLimit.CANCEL_OLDEST
    assert workflow.concurrency.scope is Scope.GLOBAL
    assert workflow.placement.balancer == "consistent-hash"
    assert workflow.handlers[HandlerEvent.FAILURE].timeout == 5.0
    assert workflow.secrets == {"KEY": "env:KEY"}
    assert [trigger.id for trigger in workflow.triggers] == ["http", "http-2", "own"]
    node = workflow.nodes[1]
    assert node.trigger_rule is TriggerRule.ALL_DONE
    assert node.on_engine_loss is OnEngineLoss.FAIL
    assert node.durability is Durability.STRICT
    assert (node.retry.max_attempts, node.retry.max_delay) == (3, 90.0)
    assert (node.timeout, node.kill_after, node.max_parallel, node.tolerate) == (300, 0.25, 4, 1)
    assert node.requires.resources == {"memory": 2.0}
    assert node.metadata == {"free": [1, 2]}
    assert check_workflow(workflow, CATALOGUE) == []


def test_a_workflow_keeps_its_content_as_json():
    workflow = load(WHOLE)
    body = to_json(workflow)
    assert from_json(body) == workflow
    assert to_json(from_json(body)) == body
    assert len(content_hash(body)) == 64


@given(
    st.lists(
        st.builds(
            Node,
            id=st.from_regex(r"[a-z]{1,5}", fullmatch=True),
            executor=st.builds(
                ExecutorSpec,
                type=st.just("x"),
                options=st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=2),
            ),
            for_each=st.one_of(
                st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=2).map(tuple)
            ),
            trigger_rule=st.sampled_from(TriggerRule),
            timeout=st.one_of(st.none(), st.floats(0, 1e6)),
            env=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        ),
        max_size=3,
    )
)
def test_any_workflow_comes_back_from_json(nodes):
    workflow = Workflow("w", "1.0.0", nodes=nodes)
    assert from_json(to_json(workflow)) == workflow


def test_json_is_read_as_well():
    document = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": "w", "version": "1.0.0"},
        "spec": {"nodes": [{"id": "a", "executor": {"type": "any", "n": 1.5, "b": None}}]},
    }
    assert load(json.dumps(document, indent=2)).nodes[0].executor.options == {"n": 1.5, "b": None}
    assert load(b"\xef\xbb\xbf" + json.dumps(document).encode()).id == "w"


SCALARS = {
    "1": 1, "-7": -7, "0o17": 15, "0x1F": 31, "1.5": 1.5, "1e3": 1000.0, ".5": 0.5,
    "true": True, "False": False, "~": None, "null": None, "yes": "yes", "on": "on",
    "1:30": "1:30", "2024-02-29": "2024-02-29", "'2024-13-45'": "2024-13-45", "1.2.3": "1.2.3",
    "-": None, "+x": "+x",
}  # fmt: skip


@pytest.mark.parametrize("text", [text for text in SCALARS if text != "-"])
def test_scalars_are_those_of_yaml_1_2(text):
    spec = f"  nodes: [{{id: a, executor: {{type: any, v: {text}}}}}]\n"
    value = load(HEAD + spec).nodes[0].executor.options["v"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


BAD_TEXT = {
    "a: [1,": ("this is no YAML", 2),
    "a: b: c": ("this is no YAML", 1),
    "a: \0": ("U+0000 is not allowed", 1),
    "a: 1\nb: \x07": ("U+0007 is not allowed", 2),
    b"a: 1\nb: \xff": ("not valid UTF-8", 2),
    "": ("the document is empty", 1),
    "- a": ("a mapping is needed", 1),
    "just text": ("a mapping is needed", 1),
    "a: 1\n---\nb: 2": ("one document", 2),
    "a: &x 1": ("anchors are not allowed", 1),
    "a: *x": ("aliases are not allowed", 1),
    "a: !!set {}": ("the tag", 1),
    "a: !mine 1": ("the tag !mine", 1),
    "<<: {a: 1}": ("merge keys", 1),
    "1: a": ("a key must be text", 1),
    "[a]: b": ("a key must be text", 1),
    "a: .inf": ("no number that JSON can hold", 1),
    "a: 1e999": ("too large a number", 1),
    "a: " + "9" * 5000: ("300 digits", 1),
    "a: 2024-02-30": ("there is no date 2024-02-30", 1),
    "a: " + "[" * 100: ("64 levels", 1),
    "a: '" + "x" * (4 * 2**20) + "'": ("more than 4194304 bytes", 1),
    "a:\n\tb: 1": ("a tab stands here; indent with spaces", 2),
    "a: {b: 1, b: 2}": ("stands here twice", 1),
}


@pytest.mark.parametrize("text", BAD_TEXT, ids=range(len(BAD_TEXT)))
def test_text_that_cannot_be_read_is_refused_with_its_place(text):
    message, line = BAD_TEXT[text]
    found = problems(text)
    assert message in found[0].message
    assert found[0].line == line
    assert found[0].column >= 1
    assert found[0].file == "f.yaml"


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(alphabet="ab:-[]{}&*!|>'\" \n#,0", max_size=60)))
def test_whatever_the_text_only_a_definition_error_comes_out(text):
    with pytest.raises(DefinitionError):
        load(text)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, len(WHOLE) - 1), st.sampled_from(["", "x", " ", ":", "-", "[", "{", "'", "\n"])
)
def test_a_damaged_document_is_a_workflow_or_a_definition_error(place, text):
    try:
        load(WHOLE[:place] + text + WHOLE[place + 1 :])
    except DefinitionError as error:
        assert all(problem.line for problem in error.problems)  # noqa: PT017 — either may come


@pytest.mark.parametrize("version", [None, "dagrun/v2", "workflows/v1x"])
def test_an_unknown_format_is_named(version):
    text = "kind: Workflow\n" if version is None else f"apiVersion: {version}\n"
    (problem,) = problems(text)
    assert "apiVersion" in problem.message or problem.path == "apiVersion"


def test_options_are_structured_strictly_when_they_are_filled_in():
    assert structure_options(Options, {"size": 3, "command": ["a"]}) == Options(
        size=3, command=["a"]
    )
    assert structure_options(Options, {"ratio": 1}).ratio == 1.0
    assert structure_options(None, {"any": 1}) == {"any": 1}
    assert structure_options(SCHEMA, {"port": 1}) == {"port": 1}
    with pytest.raises(ValueError, match="size: a whole number is needed"):
        structure_options(Options, {"size": "3"})
    with pytest.raises(ValueError, match="port: 'x' is not of type 'integer'"):
        structure_options(SCHEMA, {"port": "x"})


def test_a_file_becomes_what_the_executor_says_and_nothing_else_is_changed():
    def node(name, kind, **options):
        return Node(id=name, executor=ExecutorSpec(type=kind, options=options))

    known = Catalogue(
        executors={
            "reads": ExecutorKind(files={"file": "code", "query": "sql"}),
            "any": ExecutorKind(options=FreeOptions),
        },
        triggers={},
    )
    workflow = Workflow(
        "w",
        "1.0.0",
        nodes=[
            node("a", "reads", file="a.lua", n=1),
            node("b", "reads", query="../b.sql", file="b.lua"),
            node("c", "reads", code="x", file="c.lua"),
            node("d", "any", file="d.bin", command=["./run.sh", "x"], cwd="sub"),
            node("e", "unknown", file="e.lua"),
        ],
    )
    inlined, findings = inline_files(
        workflow, Path("/base"), lambda name: f"content of {name}", known
    )
    assert findings == []
    assert [dict(node.executor.options) for node in inlined.nodes] == [
        {"code": "content of /base/a.lua", "n": 1},
        {"sql": "content of /base/../b.sql", "code": "content of /base/b.lua"},
        {"code": "x", "file": "c.lua"},
        {"file": "d.bin", "command": ["./run.sh", "x"], "cwd": "sub"},
        {"file": "e.lua"},
    ]
    assert check_workflow(Workflow("w", "1.0.0", nodes=inlined.nodes[3:4]), known) == []

    def missing(name):
        raise FileNotFoundError(2, "No such file", name)

    _, findings = inline_files(workflow, Path("/base"), missing, known)
    assert [finding.path[2:] for finding in findings] == [
        (0, "executor", "file"),
        (1, "executor", "file"),
        (1, "executor", "query"),
    ]
    assert findings[0].message == "/base/a.lua cannot be read: No such file"


@attrs.frozen(kw_only=True)
class FreeOptions:
    """Options of somebody else's executor that are called like those of the core's."""

    file: str
    command: list[str]
    cwd: str


def test_marks_in_code_belong_to_its_language_and_hide_no_mistake():
    node = "  nodes: [{id: a, executor: {type: python, code: CODE}}]\n"
    code = 'f"${3}", "$secret{A}"'
    workflow = load(HEAD + node.replace("CODE", f"'{code}'"))
    assert workflow.nodes[0].executor.options["code"] == code
    (problem,) = problems(HEAD + node.replace("CODE", f"'{code}, ('"))
    assert "code, line 1: '(' was never closed" in problem.message

"""What newcomers write, and what they are told to write instead."""

import pytest

from dagrun.domain.document.loader import load_document
from dagrun.domain.expressions import ExpressionSyntaxError, compile_expression
from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.documents import catalogue

DOCUMENT = """apiVersion: dagrun/v1
kind: Workflow
metadata: {{id: w, version: {version}}}
spec:
  secrets: {{A: "env:A"}}
  nodes:
    - {{id: b, executor: {{type: shell, command: [ls]}}}}
    - id: a
      {node}
      executor: {executor}
"""


NO_SECRET = (
    "a secret cannot stand here, but in the executor's env, stdin; "
    "the text itself is written $$secret{"
)


@pytest.fixture(scope="module")
def told():
    known = catalogue(load_plugins().registry)

    def load(node="timeout: 3", executor="{type: shell, command: [ls]}", version="1.0.0"):
        text = DOCUMENT.format(node=node, executor=executor, version=version)
        with pytest.raises(DefinitionError) as caught:
            load_document(text, file=None, catalogue=known)
        (problem,) = caught.value.problems
        return problem

    return load


@pytest.mark.parametrize(
    ("node", "suggestion"),
    [
        ("needs: [b]", "dependencies"),
        ("depends_on: [b]", "dependencies"),
        ("if: 'true'", "when"),
        ("foreach: [1]", "for_each"),
        ("retry: {max_attempts: 2, delay: 3}", "first_delay"),
        ("environment: {A: b}", "env"),
        ("command: [ls]", "executor: {command: …}"),
        ("dependencis: [b]", "dependencies"),
    ],
)
def test_a_key_of_another_program_comes_with_ours(told, node, suggestion):
    assert told(node).suggestion == suggestion


@pytest.mark.parametrize(
    ("executor", "suggestion"),
    [
        ("{type: shell, command: [ls], cmd: ls}", "command"),
        ("{type: shell, command: [ls], script: ls}", "command or code"),
        ("{type: shell, command: [ls], run: ls}", "command or code"),
        ("{type: python, code: '', script: ls}", "code"),
        ("{type: bash, command: [ls]}", "shell"),
        ("{type: python3, code: ''}", "python"),
        ("{type: shel, command: [ls]}", "shell"),
    ],
)
def test_so_does_one_of_an_executor_and_its_type(told, executor, suggestion):
    assert told(executor=executor).suggestion == suggestion


@pytest.mark.parametrize("version", ["1.0", "1", '"1.0"', '"v1.0.0"', '"1"'])
def test_a_version_that_is_none_comes_with_the_whole_one(told, version):
    problem = told(version=version)
    assert (problem.path, problem.suggestion) == ("metadata.version", "1.0.0")
    assert "use quotes" not in problem.message


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("dependencies: b", "a list is needed, not 'b'; write [b]"),
        ("retry: 3", "a mapping is needed, not 3; write {max_attempts: 3}"),
        ("retry: often", "a mapping is needed, not 'often'"),
        ("inputs: {x: '$secret{A}'}", NO_SECRET),
    ],
)
def test_a_value_of_another_type_comes_with_how_it_is_written(told, node, message):
    assert told(node).message == message


@pytest.mark.parametrize(
    ("node", "hint"),
    [
        ("inputs: {x: ${inputs.a}}", "a text that holds ${…}"),
        ("for_each: [${inputs.a}, b]", "a text that holds ${…}"),
        ("inputs: {x: ${inputs.a} b}", "a text that holds ${…}"),
        ("when: a: b", "a text that holds ': '"),
        ("inputs: {x: a: b}", "a text that holds ': '"),
        ("when: @a", "a text that begins with @"),
    ],
)
def test_a_text_that_yaml_reads_otherwise_is_said_to_need_quotes(told, node, hint):
    problem = told(node)
    assert problem.line == 9
    assert problem.message.startswith("this is no YAML: ")
    assert problem.message.endswith(f"; put {hint} into quotes")


@pytest.mark.parametrize("node", ["x: [a, b", '"x" y'])
def test_other_mistakes_in_yaml_are_told_as_they_are(told, node):
    assert "quotes" not in told(node).message


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [
        ("len(inputs.x) > 1", "#inputs.x"),
        ("len( nodes['a'].rows[1] )", "#nodes['a'].rows[1]"),
        ("len(inputs.x .. 'a')", "#…"),
        ("secrets.API_KEY", "$secret{API_KEY}"),
        ("secrets['a.b']", "$secret{a.b}"),
        ("secrets", "$secret{NAME}"),
    ],
)
def test_a_name_of_another_language_comes_with_what_lua_and_dagrun_have(source, suggestion):
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(source)
    assert caught.value.suggestion == suggestion

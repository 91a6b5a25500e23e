"""Documents that are wrong in less usual ways, or made to take long."""

import contextlib
import difflib
import json
import math
import re
import time
from pathlib import Path
from typing import Literal

import attrs
import pytest

from dagrun.domain.document.built import check_workflow
from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.files import inline_files
from dagrun.domain.document.loader import load_document
from dagrun.domain.serialize import to_json
from dagrun.domain.workflow import (
    Durability,
    ExecutorSpec,
    Handler,
    Node,
    RetryPolicy,
    Workflow,
)
from dagrun.errors import DefinitionError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.documents import catalogue

CATALOGUE = Catalogue(executors={"any": ExecutorKind()}, triggers={"http": TriggerInfo()})
HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


@pytest.fixture(scope="module")
def installed():
    return catalogue(load_plugins().registry)


SHELL = "  nodes: [{id: a, executor: {type: shell, %s}}]\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("env: {A: '${inputs.a}'}", "give either 'command' or 'code'"),
        ("command: 'echo ${inputs.a}', code: echo x", "give either 'command' or 'code'"),
        ("command: [echo], env: {A: '${inputs.a}', B: 3}", "env.B: text is needed, not 3"),
        ("command: [echo], env: {DAGRUN_NODE_ID: x}", "names that begin with DAGRUN_ are reserved"),
    ],
)
def test_what_is_still_to_be_filled_in_hides_nothing_else_that_is_wrong(
    installed, options, message
):
    with pytest.raises(DefinitionError) as caught:
        load_document(HEAD + SHELL % options, file=None, catalogue=installed)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        "type: python, callable: '${inputs.f}'",
        "type: python, callable: 'm:f', isolation: '${inputs.i}'",
        "type: lua, code: 'return {}', memory: '${inputs.m}'",
        "type: shell, command: '${inputs.c}', env: {A: '${inputs.a}'}, cwd: '${inputs.d}'",
        "type: shell, command: ['${inputs.c}'], stdin: '${inputs.s}'",
        "type: python, code: 'price = 1; print(f\"costs ${price}\")'",
        "type: python, code: 'print(f\"${1}\")', isolation: '${inputs.i}'",
        "type: lua, code: 'return {text = \"${x}\"}', memory: '${inputs.m}'",
    ],
)
def test_options_that_may_fit_when_they_are_filled_in_are_right(installed, options):
    spec = f"  nodes: [{{id: a, executor: {{{options}}}}}]\n"
    assert load_document(HEAD + spec, file=None, catalogue=installed).id == "w"


@attrs.frozen(kw_only=True)
class Theirs:
    """Options of somebody else's executor, checked in every way that attrs has."""

    url: str = attrs.field(default="http://x")
    path: str | None = None
    mode: Literal["fast", "slow"] = "fast"
    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    ratio: float = attrs.field(default=1, converter=float)
    tags: dict[str, str] = attrs.field(factory=dict)

    @url.validator
    def _begins_well(self, _, value):
        if not value.startswith("http"):
            raise ValueError("url: must begin with http")

    def __attrs_post_init__(self):
        if self.path is not None and self.tags:
            raise ValueError("give path or tags")
        if self.path is not None and not re.match("/", self.path):
            raise ValueError("path: must begin with a slash")
        try:
            good = self.mode == "fast" or self.size > 1
        except Exception as error:
            raise ValueError("mode is strange") from error
        if not good:
            raise ValueError("slow ones are large")


THEIRS = Catalogue(
    executors={
        "theirs": ExecutorKind(options=Theirs, literal_options=frozenset({"path"})),
        "schema": ExecutorKind(
            options={
                "required": ["url"],
                "properties": {
                    "url": {"pattern": "^http"},
                    "mode": {"enum": ["fast", "slow"]},
                    "size": {},
                },
                "additionalProperties": False,
                "if": {"properties": {"mode": {"const": "slow"}}, "required": ["mode"]},
                "then": {"required": ["size"]},
                "dependentRequired": {"mode": ["size"]},
            },
            literal_options=frozenset({"size"}),
        ),
    },
    triggers={},
)


def theirs(kind, options):
    executor = ExecutorSpec(type=kind, options=options)
    workflow = Workflow("w", "1.0.0", nodes=[Node(id="a", executor=executor)])
    return [problem.message for problem in check_workflow(workflow, THEIRS)]


ASKED = "${inputs.asked}"


@pytest.mark.parametrize(
    "options",
    [
        {"url": ASKED},
        {"url": f"{ASKED}/x"},
        {"path": "/${a}"},
        {"mode": ASKED},
        {"mode": "slow", "size": ASKED},
        {"size": ASKED, "ratio": ASKED},
        {"tags": {"a": ASKED}},
    ],
)
def test_an_option_that_is_filled_in_later_is_not_refused_for_an_example_of_it(options):
    assert theirs("theirs", options) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://x", "mode": ASKED}, "url: must begin with http"),
        ({"url": ASKED, "size": 0}, "'size' must be >= 1: 0"),
        ({"url": ASKED, "mode": "slow"}, "slow ones are large"),
        ({"url": ASKED, "path": "/", "tags": {"a": "b"}}, "give path or tags"),
        ({"mode": ASKED, "path": "/", "tags": {"a": "b"}}, "give path or tags"),
        ({"url": ASKED, "path": "${a}"}, "path: must begin with a slash"),
        ({"url": ASKED, "size": "1"}, "a whole number is needed, not '1'; use"),
    ],
)
def test_what_is_wrong_whatever_is_filled_in_is_told(options, message):
    (told,) = theirs("theirs", options)
    assert message.startswith(told)


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({"url": ASKED}, []),
        ({"url": "ftp:${inputs.x}"}, []),
        ({"url": "ftp:"}, ["'ftp:' does not match '^http'"]),
        ({"url": "http:", "mode": ASKED, "size": 1}, []),
        ({"mode": ASKED, "size": 1}, ["'url' is a required property"]),
        ({"url": ASKED, "mode": "fast"}, ["'size' is a dependency of 'mode'"]),
        (
            {"url": ASKED, "urk": 1},
            ["Additional properties are not allowed ('urk' was unexpected)"],
        ),
        ({"url": "ftp:", "size": "${x}"}, ["'ftp:' does not match '^http'"]),
    ],
)
def test_a_schema_of_options_is_applied_as_far_as_they_are_known(options, messages):
    assert theirs("schema", options) == messages


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{$schema: 3}", "$schema: text is needed"),
        ("{$schema: 'http://['}", "cannot be understood"),
        ("{required: [a], properties: {a: {$ref: '#/required/x'}}}", "JSON Schema"),
        ("{minProperties: 1, properties: {a: {$ref: '#/minProperties/x'}}}", "JSON Schema"),
        ("{type: object, $ref: '#/type'}", "no schema"),
        ("{properties: {a: {$ref: '#/type'}}, type: object}", "no schema"),
        ("{properties: {default: {$ref: '#/none'}}}", "/none', which is not in it"),
        ("{properties: {$id: {$ref: '#/none'}}}", "/none', which is not in it"),
        ("{$ref: '#'}", "refers to itself without end"),
        ("{source: {type: string}}", "'source' is no keyword of JSON Schema; names go"),
        ("{propertys: {}}", "did you mean 'properties'"),
        ("{type: array}", "the inputs are an object"),
        ("{required: [_n]}", "'_n' is required, but names that begin with _ are reserved"),
        ("{properties: {n: {type: integer, default: x}}}", "the default of 'n' does not fit"),
    ],
)
def test_a_schema_that_no_inputs_can_meet_is_refused(schema, message):
    text = HEAD + f"  inputs: {schema}\n  nodes: [{{id: a, executor: {{type: any}}}}]\n"
    with pytest.raises(DefinitionError) as caught:
        load_document(text, file=None, catalogue=CATALOGUE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        (
            "{$schema: 'http://json-schema.org/draft-07/schema#', definitions: {a: {$id: '#a'}}, "
            "properties: {x: {$ref: '#a'}}}"
        ),
        "{$defs: {t: {properties: {kids: {items: {$ref: '#/$defs/t'}}}}}, $ref: '#/$defs/t'}",
        "{properties: {a: {$anchor: here}, b: {$ref: '#here'}}}",
        "{type: [object, 'null'], x-note: 1, title: t}",
    ],
)
def test_a_schema_may_refer_to_its_own_parts(schema):
    text = HEAD + f"  inputs: {schema}\n  nodes: [{{id: a, executor: {{type: any}}}}]\n"
    assert load_document(text, file=None, catalogue=CATALOGUE).inputs


def test_a_schema_whose_check_would_take_for_ever_is_refused():
    double = "{{allOf: [{{$ref: '#/$defs/d{0}'}}, {{$ref: '#/$defs/d{0}'}}]}}"
    parts = ", ".join(f"d{n}: {double.format(n + 1)}" for n in range(24))
    schema = f"{{$defs: {{{parts}, d24: {{type: object}}}}, $ref: '#/$defs/d0'}}"
    text = HEAD + f"  inputs: {schema}\n  nodes: [{{id: a, executor: {{type: any}}}}]\n"
    with pytest.raises(DefinitionError, match="checking takes too long"):
        load_document(text, file=None, catalogue=CATALOGUE)


def hostile():
    many = "'${inputs.a}', " * 5000
    ids = ", ".join(f"n{n}" for n in range(15_000))
    inputs = ", ".join(f"a{n}: '${{nodes.n{n}.x}}'" for n in range(15_000))
    nodes = "  nodes: [{id: a, executor: {type: any}}]\n"
    return {
        "strings": "  nodes: [{id: a, when: '${ \"%s'}]\n" % ("\\z " * 40),
        "triggers": nodes + "  triggers:\n" + "    - {type: http, path: /a}\n" * 20_000,
        "nested": nodes + f"  outputs: {{x: {'[' * 50}{many} '${{'{']' * 50}}}\n",
        "broken nodes": "  nodes: [" + "3, " * 300_000 + "3]\n",
        "keys": nodes + "  env:\n" + "    a: b\n" * 100_000,
        "fan-in": "  nodes:\n"
        + "".join(f"    - {{id: n{n}, executor: {{type: any}}}}\n" for n in range(15_000))
        + "    - {id: last, executor: {type: any}, "
        + f"dependencies: [{ids}], inputs: {{{inputs}}}}}\n",
    }


@pytest.mark.parametrize("name", hostile())
def test_no_document_takes_for_ever(name):
    started = time.process_time()
    with contextlib.suppress(DefinitionError):
        load_document(HEAD + hostile()[name], file=None, catalogue=CATALOGUE)
    assert time.process_time() - started < 10


def test_words_like_an_unknown_one_are_looked_for_among_few(monkeypatch):
    compared = []

    def counting(word, words, number):
        compared.extend(words)
        return []

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    nodes = "".join(
        f"    - {{id: n{n}, dependencies: [m{n}], executor: {{type: any}}}}\n" for n in range(5000)
    )
    with pytest.raises(DefinitionError):
        load_document(HEAD + "  nodes:\n" + nodes, file=None, catalogue=CATALOGUE)
    assert len(compared) <= 2500


TAGS = "%TAG !n! b\n" * 100_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TAGS, (1, 1)),
        ("{}\n...\n" + TAGS, (3, 1)),
        (HEAD + "  nodes: []\n...\n# more\n" + TAGS, (8, 1)),
        ("#\n" * 1001 + TAGS, (1002, 1)),
        ("#x\r" + TAGS.replace("\n", "\r"), (2, 1)),
        ("#x\r\n\r\n" + TAGS.replace("\n", "\r\n"), (3, 1)),
        ("#x\x85" + TAGS, (2, 1)),
        ("#x\u2028#\u2029" + TAGS, (3, 1)),
        ("\ufeff\ufeff" + TAGS, (1, 1)),
    ],
    ids=range(9),
)
def test_tag_directives_are_refused_before_the_parser_sees_them(text, place, monkeypatch):
    monkeypatch.setattr("dagrun.domain.document.composer._Parser", None)
    for document in (text, text.encode()):
        with pytest.raises(DefinitionError, match="directives are not allowed") as caught:
            load_document(document, file=None, catalogue=CATALOGUE)
        (problem,) = caught.value.problems
        assert (problem.line, problem.column) == place


def test_a_percent_sign_is_no_directive_elsewhere():
    nodes = "  nodes: [{id: a, executor: {type: any, a: '%TAG !n! b', b: \"x\n%d\"}}]\n"
    assert (
        load_document("%YAML 1.2\n---\n" + HEAD + nodes, file=None, catalogue=CATALOGUE).id == "w"
    )
    with pytest.raises(DefinitionError, match="unknown directive"):
        load_document("%TAR x\n---\n" + HEAD + nodes, file=None, catalogue=CATALOGUE)


@pytest.mark.parametrize("key", ["priority", "timeout"])
def test_a_number_of_too_many_digits_is_refused_however_it_is_written(key):
    for number in ("0x" + "f" * 5000, "0o" + "7" * 5000, "9" * 5000):
        text = HEAD + f"  {key}: {number}\n  nodes: [{{id: a, executor: {{type: any}}}}]\n"
        with pytest.raises(DefinitionError, match="digits"):
            load_document(text, file=None, catalogue=CATALOGUE)


def test_json_that_escapes_a_character_in_two_parts_is_read():
    document = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": "w", "version": "1.0.0", "description": "😀 \\ud83d"},
        "spec": {"nodes": [{"id": "a", "executor": {"type": "any"}}]},
    }
    text = json.dumps(document)
    assert "\\ud83d" in text
    loaded = load_document(text, file=None, catalogue=CATALOGUE)
    assert loaded.description == document["metadata"]["description"]


@pytest.mark.parametrize(
    ("spec", "wrong", "not_told"),
    [
        (("[{id: a, executor: {type: any}}, {id: b, dependencies: a, executor: {type: any}, "
          "when: nodes.a.x > 1}]"), "a list is needed", "is no ancestor"),
        ("[{id: a, for_each: 3, max_parallel: 2, inputs: {x: '${item}'}, executor: {type: any}}]",
         "a list is needed", "no for_each"),
        ("[{id: a, retry: {max_attempts: '3', first_delay: 2s}, executor: {type: any}}]",
         "a whole number is needed", "max_attempts is 1"),
    ],
)  # fmt: skip
def test_nothing_is_told_that_is_only_wrong_because_of_something_else(spec, wrong, not_told):
    with pytest.raises(DefinitionError) as caught:
        load_document(HEAD + f"  nodes: {spec}\n", file=None, catalogue=CATALOGUE)
    assert wrong in str(caught.value)
    assert not_told not in str(caught.value)
    assert "unknown name" not in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [
        "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w}\nspec:\n",
        "apiVersion: dagrun/v1\nkind: workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n",
        "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: 3\nspec:\n",
        HEAD + "  triggers: [{path: /x}]\n",
    ],
)
def test_what_is_wrong_with_the_head_or_a_trigger_does_not_hide_the_rest(head):
    nodes = "  nodes: [{id: a, dependencies: [1, none], executor: {type: nosuch}}]\n"
    with pytest.raises(DefinitionError) as caught:
        load_document(head + nodes, file=None, catalogue=CATALOGUE)
    told = str(caught.value)
    assert "there is no node 'none'" in told
    assert "no executor is called 'nosuch'" in told
    assert "not 1" in told


def test_a_workflow_built_in_python_takes_words_for_its_enums_and_whole_seconds():
    node = Node(id="a", executor=ExecutorSpec(type="any"), durability="strict", timeout=30)
    same = Node(id="a", executor=ExecutorSpec(type="any"), durability="strict", timeout=30.0)
    assert node.durability is Durability.STRICT
    assert to_json(Workflow("w", "1.0.0", nodes=[node])) == to_json(
        Workflow("w", "1.0.0", nodes=[same])
    )


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"timeout": math.inf}, "timeout"),
        ({"kill_after": -1}, "kill_after"),
        ({"retry": RetryPolicy(max_attempts=2, first_delay=-5)}, "first_delay"),
        ({"retry": RetryPolicy(max_attempts=2, max_delay=math.inf)}, "max_delay"),
        ({"retry": RetryPolicy(max_attempts=2, first_delay=300)}, "first_delay"),
        ({"metadata": {"x": math.nan}}, "nodes[0].metadata.x: nan is nothing that JSON can hold"),
        ({"metadata": {1: "a"}}, "nodes[0].metadata: a key must be text, not 1"),
        ({"metadata": {"x": "\udcff"}}, "it cannot be kept"),
    ],
)
def test_a_workflow_built_in_python_is_checked_for_what_no_document_can_hold(fields, path):
    node = Node(id="a", executor=ExecutorSpec(type="any"), **fields)
    (problem,) = check_workflow(Workflow("w", "1.0.0", nodes=[node]), CATALOGUE)
    assert path in str(problem)


def test_python_code_is_checked_as_it_stands(installed):
    code = "a = '${'\nb = $"
    spec = f"  nodes: [{{id: a, executor: {{type: python, code: {json.dumps(code)}}}}}]\n"
    with pytest.raises(DefinitionError, match="code, line 2: invalid syntax"):
        load_document(HEAD + spec, file=None, catalogue=installed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("type: python, callable: 'm:f', code: x, isolation: '${inputs.i}'", "give either 'call"),
        ("type: lua, memory: '${inputs.m}'", "lua needs either code or file"),
        ("type: lua, memory: '${inputs.m}', code: '${'", "code, line"),
        ("type: lua, memory: '${inputs.m}', code: ['${a}']", "executor.code: text is needed"),
        ("type: http, url: '${inputs.u}', method: A B", "'method': 'A B' is no method"),
        ("type: http, url: '${inputs.u}', json: 1, body: x", "give only one of"),
        ("type: http, url: '${inputs.u}', headers: {a: '${inputs.a}', A: x}", "A is there twice"),
        (
            "type: http, url: 'http://a', params: {a: '${inputs.a}'}, expect: 99",
            "'expect': 99 is no",
        ),
        ("type: http, headers: {a: '${inputs.a}'}", "the key 'url' is missing"),
        ("type: shell, command: ['${inputs.c}'], env: {DAGRUN_X: a}", "begin with DAGRUN_ are"),
    ],
)
def test_executors_of_the_core_tell_what_is_wrong_beside_what_is_filled_in(
    installed, options, message
):
    spec = f"  nodes: [{{id: a, executor: {{{options}}}}}]\n"
    with pytest.raises(DefinitionError) as caught:
        load_document(HEAD + spec, file=None, catalogue=installed)
    assert message in str(caught.value)


def test_files_of_handlers_are_taken_in_and_long_ones_refused(tmp_path, installed):
    (tmp_path / "alarm.lua").write_text("return {}")
    node = Node(id="a", executor=ExecutorSpec(type="any"))
    lua = ExecutorSpec(type="lua", options={"file": "alarm.lua"})
    workflow = Workflow("w", "1.0.0", nodes=[node], handlers={"failure": Handler(executor=lua)})
    whole, findings = inline_files(
        workflow, tmp_path, lambda name: Path(name).read_text(), installed
    )
    assert findings == []
    assert whole.handlers["failure"].executor.options == {"code": "return {}"}


@attrs.frozen(kw_only=True)
class Parsed:
    url: str
    host: str = attrs.field(init=False)
    tries: int = attrs.field(
        default=1,
        converter=attrs.Converter(lambda value, _: value, takes_self=True),
        validator=attrs.validators.ge(0),
    )
    doubled: int = attrs.field(
        default=1,
        converter=attrs.Converter(lambda value, _, field: value, takes_self=True, takes_field=True),
    )

    def __attrs_post_init__(self):
        object.__setattr__(self, "host", self.url.upper())


@pytest.mark.parametrize("url", ["http://a", ASKED])
def test_options_beside_what_is_filled_in_are_made_as_attrs_makes_them(url):
    known = Catalogue(executors={"parsed": ExecutorKind(options=Parsed)}, triggers={})

    def said(**options):
        node = Node(id="a", executor=ExecutorSpec(type="parsed", options={"url": url, **options}))
        return [p.message for p in check_workflow(Workflow("w", "1.0.0", nodes=[node]), known)]

    assert said() == said(tries=3) == []
    assert said(tries=-1) == ["'tries' must be >= 0: -1"]
    assert said(host="x") == ["the key 'host' is not known here"]

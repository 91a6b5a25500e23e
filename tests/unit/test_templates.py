import itertools
import time

import pytest

from dagrun.domain import sandbox
from dagrun.domain.expressions import (
    ExpressionError,
    ExpressionSyntaxError,
    compile_expression,
)
from dagrun.domain.templates import SECRETS, compile_template

SCOPE = {"nodes": {"a": {"rows": 3, "list": [1, "x"]}, "s": None}, "inputs": {"t": "text"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${nodes.a.rows}", 3),
        ("n=${nodes.a.rows}, ${inputs.t}!", "n=3, text!"),
        ("${nodes.a.list}${nodes.s}${true}${1.5}", '[1,"x"]true1.5'),
        ("${ {1, '}'} }", [1, "}"]),
        ("${ [==[ } ]==] }", " } "),
        ("${ 1 --[[ } ]] }", 1),
        ("$${HOME} ${inputs.t}", "${HOME} text"),
        ({"a": ["x", "${inputs.t}"], "b": 1}, {"a": ["x", "text"], "b": 1}),
        ('${inputs.t}"]..os.exit()', 'text"]..os.exit()'),
    ],
)
def test_a_template_is_filled_in_from_the_scope(value, expected):
    assert compile_template(value).render(SCOPE) == expected


def test_a_constant_is_given_back_as_the_same_object():
    value = {"a": [1, {"b": "$x {y}"}]}
    template = compile_template(value)
    assert template.constant
    assert template.render({}) is value
    escaped = compile_template(["$${x}"])
    assert escaped.constant
    assert escaped.render({}) == ["${x}"]


@pytest.mark.parametrize("text", ["${", "${nodes.a", "${ 'x }", "${ {1 }", "a ${ [[x} "])
def test_an_expression_that_is_not_closed_is_refused_with_its_place(text):
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_template({"k": ["", text]})
    assert caught.value.path == ("k", 1)


def test_a_template_unites_what_its_expressions_use():
    template = compile_template({"a": "${nodes.a.rows}", "b": ["${nodes.s} ${inputs.t}"]})
    assert template.names == {"nodes", "inputs"}
    assert template.nodes == {"a", "s"}
    assert not template.nodes_dynamic
    assert [path for path, _ in template.expressions] == [("a",), ("b", 0), ("b", 0)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$secret{KEY}", "hunter2"),
        ("Bearer $secret{KEY}/${inputs.t}", "Bearer hunter2/text"),
        ("$$secret{KEY} $secret {KEY} $secrets{KEY}", "$secret{KEY} $secret {KEY} $secrets{KEY}"),
        ({"a": ["$secret{KEY}$secret{a.b-c}"]}, {"a": ["hunter2other"]}),
        ("${'$secret{KEY}'}", "$secret{KEY}"),
    ],
)
def test_a_secret_is_filled_in_beside_what_expressions_see(value, expected):
    secrets = {"KEY": "hunter2", "a.b-c": "other"}
    template = compile_template(value, secrets=secrets)
    assert template.render({**SCOPE, SECRETS: secrets}) == expected
    assert template.names <= {"inputs"}


def test_an_escaped_secret_is_a_constant():
    template = compile_template("$$secret{KEY}")
    assert template.constant
    assert template.render({}) == "$secret{KEY}"


@pytest.mark.parametrize(
    ("text", "secrets", "message", "suggestion"),
    [
        ("$secret{KEY}", None, "a secret cannot stand here", None),
        ("$secret{KEI}", ["KEY"], "the document declares no secret 'KEI'", "KEY"),
        ("$secret{}", [], "the document declares no secret ''", None),
        ("$secret{KEY", ["KEY"], "is not closed by }", "$$secret{"),
    ],
)
def test_a_secret_that_cannot_be_filled_in_is_refused(text, secrets, message, suggestion):
    with pytest.raises(ExpressionSyntaxError, match=message) as caught:
        compile_template({"a": text}, secrets=secrets)
    assert caught.value.suggestion == suggestion
    assert caught.value.path == ("a",)


def test_no_expression_sees_a_secret():
    for source in ("secrets.KEY", "secret", "_G"):
        with pytest.raises(ExpressionSyntaxError):
            compile_template(f"${{{source}}}", secrets=["KEY"])


COSTLY = "(function() local b for i = 1, {} do b = inputs.s:upper() end return #b end)()"


def test_an_expression_is_measured_by_the_time_of_its_own_thread(monkeypatch):
    """Other threads cannot use up what it has: here its own clock stands still."""
    monkeypatch.setattr(sandbox, "_sandboxes", [])
    monkeypatch.setattr(sandbox.time, "thread_time", lambda: 5.0)
    scope = {"inputs": {"s": "x" * 1_000_000}}
    costly = compile_expression(COSTLY.format(1500))
    before = time.process_time()
    with pytest.raises(ExpressionError, match="instructions"):
        compile_expression("(function() while true do end end)()").evaluate(scope)
    assert costly.evaluate(scope) == 1_000_000
    assert time.process_time() - before > 0.25


def test_an_expression_that_takes_long_in_its_own_thread_fails():
    scope = {"inputs": {"s": "x" * 1_000_000}}
    before = time.thread_time()
    with pytest.raises(ExpressionError, match=r"or 0\.25 s") as caught:
        compile_expression(COSTLY.format(90_000)).evaluate(scope)
    assert caught.value.kind == "budget"
    assert time.thread_time() - before > 0.25


def test_all_expressions_of_one_place_share_their_time(monkeypatch):
    clock = itertools.count(0, 0.2)
    monkeypatch.setattr(sandbox, "_sandboxes", [])
    monkeypatch.setattr(sandbox.time, "thread_time", lambda: next(clock))
    scope = {"inputs": {"n": 1}}
    assert compile_template(["${inputs.n + 1}"] * 2).render(scope) == [2, 2]
    assert [compile_template(["${inputs.n + 1}"]).render(scope) for _ in range(9)] == [[2]] * 9
    with pytest.raises(ExpressionError, match="take more than 1 s together") as caught:
        compile_template(["${inputs.n + 1}"] * 9).render(scope)
    assert caught.value.kind == "budget"
    assert compile_template(["${inputs.n + 1}"] * 2).render(scope) == [2, 2]

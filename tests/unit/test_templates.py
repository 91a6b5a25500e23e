import pytest

from dagrun.domain.expressions import ExpressionSyntaxError
from dagrun.domain.templates import compile_template

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

import pytest

from dagrun.domain.expressions import ExpressionError, compile_expression
from dagrun.domain.nulls import with_null_tests

SCOPE = {
    "inputs": {"y": None, "deep": {"y": None, "n": 1}, "list": [1, None, 3], "ends": [None, None]},
    "nodes": {"f": None, "price": [{"v": 1}, None, {"v": 3}], "ok": {"rows": None}},
    "item": None,
}


def value(source):
    return compile_expression(source).evaluate(SCOPE)


@pytest.mark.parametrize(
    "source",
    [
        "inputs.y",
        "inputs.deep.y",
        "inputs['deep'][inputs.y or 'y']",
        "nodes.f",
        "nodes.ok.rows",
        "item",
        "inputs.list[1 + 1]",
        "inputs.missing",
    ],
)
def test_what_is_null_is_false_and_nil_by_whichever_name_it_is_reached(source):
    shown = f"{{{source} == nil, {source} ~= nil, not {source}, {source} and 1 or 2}}"
    assert value(shown) == [True, False, True, 2]
    assert value(f"{{{source} == json.null, json.null ~= {source}}}") == [True, False]
    assert value(f"type({source})") == "nil"


@pytest.mark.parametrize(
    "source", ["nodes.f.rows == 0", "item.x.y == 1", "inputs.list[2].v == 1", "(nil).x == 1"]
)
def test_a_member_of_null_is_null(source):
    assert value(source) is False
    assert value(source.partition(" ")[0]) is None


@pytest.mark.parametrize(
    "source", ["inputs", "nodes", "nodes.price", "inputs.list", "inputs.ends", "inputs.deep"]
)
def test_what_passes_through_whole_keeps_its_nulls(source):
    expected = value(source)  # which is read without Lua
    assert value(f"(function() return {source} end)()") == expected
    assert value(f"{{x = {source}}}") == {"x": expected}


def test_lists_with_nulls_keep_their_length_and_their_places():
    adding = "(function() local n = 0 for i, p in ipairs(nodes.price) do"
    assert value(f"{adding} if p then n = n + i * p.v end end return n end)()") == 10
    assert value("#nodes.price + 10 * #inputs.ends") == 23
    assert value("select('#', table.unpack(inputs.list))") == 3
    walking = "(function() local s = '' for k, v in pairs(inputs.list) do s = s .. k .. v end"
    assert value(f"{walking} return s end)()") == "1133"
    assert value("{next(inputs.ends) == nil, next(inputs.list)}") == [True, 1, 1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("t[2] = 5", [1, 5, 3]),
        ("t[1] = nil", [None, None, 3]),
        ("t[3] = nil", [1, None]),
        ("t[3] = nil t[2] = nil", [1]),
        ("t[#t + 1] = 4", [1, None, 3, 4]),
        ("t[#t + 1] = json.null", [1, None, 3, None]),
        ("t = json.array(t)", [1, None, 3]),
        ("t[3] = nil t[2] = nil t[1] = nil", []),
    ],
)
def test_a_list_with_nulls_changes_as_a_list_does(change, expected):
    assert value(f"(function() local t = inputs.list {change} return t end)()") == expected


def test_an_object_keeps_its_nulls_until_they_have_a_value():
    assert value("(function() inputs.deep.y = 7 return inputs.deep end)()") == {"y": 7, "n": 1}
    assert value("(function() inputs.deep.n = nil return inputs.deep end)()") == {"y": None}
    own = "(function() inputs.deep.y = json.null return inputs.deep end)()"
    assert value(own) == {"y": None, "n": 1}


@pytest.mark.parametrize("change", ["t[9] = 1", "t.x = 1", "t[0] = 1", "t[1.5] = 1"])
def test_a_list_with_nulls_that_is_no_list_any_more_is_refused(change):
    with pytest.raises(ExpressionError) as caught:
        value(f"(function() local t = inputs.list {change} return t end)()")
    assert caught.value.kind == "output"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("a == json.null", "a <= json.null"),
        ("json . null ~= a", "json . null <  a"),
        ("x == json.null == json.null", "x <= json.null <= json.null"),
        ("{json.null == a, f(b ~= json.null)}", "{json.null <= a, f(b <  json.null)}"),
    ],
)
def test_a_comparison_with_json_null_asks_it(code, shown):
    assert with_null_tests(code) == shown


@pytest.mark.parametrize(
    "code",
    [
        "'a == json.null' -- == json.null",
        "[[ == json.null ]]",
        "a == json.null.x",
        "a == json.null[1]",
        "a == json.null()",
        "x.json.null == a",
        "not json.null == a",
        "a .. json.null == b",
        "a <= json.null",
        "'a == json.null",
        "null == a",
    ],
)
def test_whatever_else_the_code_says_is_left_as_it_is(code):
    assert with_null_tests(code) == code


def test_a_null_that_the_code_made_itself_is_found_too():
    assert value("(function() local t = {json.null, 1} return t[1] == json.null end)()") is True
    assert value("{json.null == json.null, 1 == json.null, '' ~= json.null, {} == json.null}") == [
        True,
        False,
        True,
        False,
    ]

import time

import pytest

from dagrun.domain.expressions import (
    ExpressionError,
    ExpressionSyntaxError,
    compile_expression,
    evaluate_condition,
)

SCOPE = {"nodes": {"a": {"rows": 3}, "s": None}, "inputs": {"list": [], "big": 2**70, "n": 7}}


def value(source):
    return compile_expression(source).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nodes.a.rows * 2", 6),
        ("nodes.a", {"rows": 3}),
        ("nodes.s.rows", None),
        ("nodes.b.rows.x", None),
        ("nodes.s == json.null", True),
        ("inputs.missing", None),
        ("inputs.list", []),
        ("{inputs.list, json.array(), {}}", [[], [], {}]),
        ("{x = 1, y = {json.null}}", {"x": 1, "y": [None]}),
        ("inputs.big * 1", float(2**70)),
        ("7 // 2", 3),
        ("2.0", 2.0),
        ("1 -- a comment", 1),
        ("('a'):upper() .. 'ü\\0'", "AÜ\0".replace("Ü", "ü")),
        ("json.encode({b = 1, a = {1.5}})", '{"a":[1.5],"b":1}'),
        (
            "(function(t) local s = '' for k in pairs(t) do s = s .. k end return s end)({b=1,a=2})",
            "ab",
        ),
    ],
)
def test_an_expression_gives_the_json_value_that_lua_computes(source, expected):
    given = value(source)
    assert given == expected
    assert type(given) is type(expected)


@pytest.mark.parametrize(
    "source",
    [
        "1; os.exit()",
        "1) or (2",
        "",
        "1, 2 +",
        "'open",
        "[[open",
        "--[[open",
        "x",
        "os.time()",
        "print(1)",
        "setmetatable({}, {})",
        "pcall(type)",
        "load('1')",
        "(function() x = 1 end)()",
        "coroutine.create(type)",
        "_G",
        "require('os')",
        "(" * 1000 + ")" * 1000,
    ],
)
def test_what_is_no_allowed_expression_is_refused_when_it_is_compiled(source):
    with pytest.raises(ExpressionSyntaxError):
        compile_expression(source)


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [
        ("HOME", "$${HOME}"),
        ("noodes.a", "nodes"),
        ("nodes.my-node.x", 'nodes["my-node"]'),
        ("inputs.a != 3", "~="),
        ("inputs.a > 3 && inputs.b", "and"),
        ("inputs.a || inputs.b", "or"),
        ("inputs.a => 3", ">="),
        ("inputs.a == '!=' or", None),
    ],
)
def test_what_lua_does_not_know_comes_with_what_to_write_instead(source, suggestion):
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(source)
    assert caught.value.suggestion == suggestion


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("nodes.a.rows.x", "runtime"),
        ("('x'):rep(9)", "runtime"),
        ("string.format('%1000000000d', 1)", "runtime"),
        ("string.dump(type)", "runtime"),
        ("('x').find.y", "runtime"),
        ("math.random()", "runtime"),
        ("tostring({})", "runtime"),
        ("(function() string.len = 1 end)()", "runtime"),
        ("(function() json.null.x = 1 end)()", "runtime"),
        ("(function() while true do end end)()", "budget"),
        ("(function() ::top:: goto top end)()", "budget"),
        ("(function() local s = 'x' while true do s = s .. s end end)()", "memory"),
        ("(function() local t = {} t.t = t return t end)()", "output"),
        ("{1, nil, 3}", "output"),
        ("{1, x = 2}", "output"),
        ("{[1.5] = 1}", "output"),
        ("0/0", "output"),
        ("{1/0}", "output"),
        ("type", "output"),
        ("'\\xff'", "output"),
        ("{'\\xff'}", "output"),
    ],
)
def test_a_failing_evaluation_says_of_which_kind_it_is_and_harms_no_other(source, kind):
    expression = compile_expression(source)
    started = time.process_time()
    with pytest.raises(ExpressionError) as caught:
        expression.evaluate(SCOPE)
    assert caught.value.kind == kind
    assert time.process_time() - started < 0.5
    assert value("nodes.a.rows * 2") == 6


def test_deep_recursion_and_costly_comparisons_end_within_the_limit():
    recursion = "(function() local function f() return 1 + f() end return f() end)()"
    comparing = (
        "(function() local s = 'abcdefgh' for i = 1, 19 do s = s .. s end"
        " local n = 0 while true do n = n + ((s .. 'b') == (s .. 'c') and 1 or 0) end end)()"
    )
    searching = (
        "(function() local s = 'aaaaaaaa' for i = 1, 17 do s = s .. s end return s:find(s) end)()"
    )
    for source in (recursion, comparing, searching):
        started = time.process_time()
        with pytest.raises(ExpressionError):
            value(source)
        assert time.process_time() - started < 1


def test_an_expression_changes_its_own_copy_of_the_scope_only():
    assert value("(function() nodes.a.rows = 9 return nodes.a.rows end)()") == 9
    assert SCOPE["nodes"]["a"] == {"rows": 3}


def test_an_expression_knows_which_names_and_nodes_it_uses():
    expression = compile_expression('nodes.a.x + nodes["my-node"].y + inputs.n')
    assert expression.names == {"nodes", "inputs"}
    assert expression.nodes == {"a", "my-node"}
    assert not expression.nodes_dynamic
    assert compile_expression("nodes[inputs.n]").nodes_dynamic
    assert compile_expression("next(nodes)").nodes_dynamic


def test_an_id_with_a_hyphen_is_noticed_where_lua_subtracts():
    assert compile_expression("nodes.my-run.x").hyphenated == {"my": "my-run"}
    assert compile_expression("nodes.my - run.x").hyphenated == {}


def test_other_names_can_be_allowed():
    condition = compile_expression("error.type ~= 'lua'", names=("error",))
    assert evaluate_condition(condition, {"error": {"type": "exit"}})


@pytest.mark.parametrize(
    ("source", "expected"), [("true", True), ("1 > 2", False), ("nil", False), ("json.null", False)]
)
def test_a_condition_is_true_or_false_and_nil_counts_as_false(source, expected):
    assert evaluate_condition(compile_expression(source), {}) is expected


@pytest.mark.parametrize("source", ["1", "'yes'", "{}"])
def test_a_condition_of_another_type_fails(source):
    with pytest.raises(ExpressionError, match="true or false is needed"):
        evaluate_condition(compile_expression(source), {})


@pytest.mark.parametrize(
    "argument",
    [[[]] * 3_000_000, "x" * 300_000_000, {"k": "x" * 300_000_000}],
    ids=["tables", "text", "member"],
)
def test_values_that_are_too_large_for_lua_fail_the_evaluation_only(argument):
    with pytest.raises(ExpressionError) as caught:
        compile_expression("#inputs.v > 3").evaluate({"inputs": {"v": argument}})
    assert caught.value.kind == "memory"
    assert value("nodes.a.rows * 2") == 6


def test_values_beyond_the_memory_of_the_code_itself_are_no_matter():
    scope = {"inputs": {"v": list(range(1_000_000))}, "item": "x" * 4_000_000}
    assert compile_expression("#inputs.v + #item").evaluate(scope) == 5_000_000


def test_few_but_costly_instructions_end_soon():
    doubling = "s = s .. s " * 25
    text = f"(function() local s = '\\0' {doubling} return {'s < s or ' * 40} 1 end)()"
    started = time.process_time()
    with pytest.raises(ExpressionError):
        value(text)
    assert time.process_time() - started < 1.5


@pytest.mark.parametrize(
    "source",
    ['"' + "\\z" * 40, '"' + "\\z  " * 40, "function " * 8000, "item" + " and item" * 40_000],
    ids=["skips", "skips and spaces", "functions", "chain"],
)
def test_checking_a_text_takes_no_time_to_speak_of(source):
    started = time.process_time()
    with pytest.raises(ExpressionSyntaxError):
        compile_expression(source)
    assert time.process_time() - started < 0.5


def test_named_nodes_are_known_beside_nodes_as_a_whole():
    expression = compile_expression("nodes.grand.rows + (next(nodes) and 1 or 0)")
    assert expression.nodes == {"grand"}
    assert expression.nodes_dynamic
    assert expression.evaluate({"nodes": {"grand": {"rows": 1}, "b": {}}}) == 2


@pytest.mark.parametrize(
    "source", ["inputs.flag\u00a0", "inputs.a[\u0663]", "nodes.a.x --\r + nodes"]
)
def test_what_lua_would_not_compile_is_refused_though_it_looks_like_a_path(source):
    if "--" in source:
        assert "nodes" in compile_expression(source).names
        assert compile_expression(source).nodes_dynamic
    else:
        with pytest.raises(ExpressionSyntaxError):
            compile_expression(source)


@pytest.mark.parametrize("short", ["back-end", "load-2b", "1st", "1", "end"])
def test_an_id_that_is_no_name_in_lua_comes_with_how_to_write_it(short):
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(f"nodes.{short}.rows")
    assert caught.value.suggestion == f'nodes["{short}"]'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("(function() local t = {} function t.f(a) return a end return t.f(1) end)()", 1),
        ("(function() local t = {} function t:f(a) return a end return t:f(1) end)()", 1),
        ("(function() ::a:: local x = 1 ::b:: x = x + 1 return x end)()", 2),
        ("next({b = 1, a = 2})", "a"),
        ("json.encode({0.1, 1/3, 1e300, 2.5})", "[0.1,0.3333333333333333,1e+300,2.5]"),
        ("('a\\z  \\z b')", "ab"),
    ],
)
def test_lua_is_understood_as_lua_understands_it(source, expected):
    assert value(source) == expected


def test_a_long_list_and_many_keys_can_be_walked_through():
    source = "(function() local n = 0 for k, v in pairs(inputs.v) do n = n + v end return n end)()"
    expression = compile_expression(source)
    assert expression.evaluate({"inputs": {"v": [1] * 20_000}}) == 20_000
    assert expression.evaluate({"inputs": {"v": {f"k{i}": 1 for i in range(20_000)}}}) == 20_000


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("('x'):contains(nil)", "contains: a text is needed, not nil"),
        ("('x'):find('a', {})", "find: a number is needed, not table"),
        ("json.array(string)", "json.array cannot change this table"),
        ("next({1}, 1)", "next: it gives the first key only; use pairs"),
    ],
)
def test_messages_name_what_the_author_wrote(source, message):
    with pytest.raises(ExpressionError) as caught:
        value(source)
    assert str(caught.value).endswith(f": {message}")


def test_a_message_that_speaks_of_memory_is_not_taken_for_want_of_it():
    with pytest.raises(ExpressionError) as caught:
        value("({['not enough memory'] = 1})['not enough memory'].x.y")
    assert caught.value.kind == "runtime"

from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.expressions import compile_expression
from dagrun.domain.templates import compile_template

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
# Not a plain path, so that the value goes to Lua and back.
IDENTITY = compile_expression("(inputs)")


def same(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@given(VALUES)
def test_a_json_value_comes_back_from_lua_as_it_went(value):
    assert same(IDENTITY.evaluate({"inputs": value}), value)


@given(st.text())
def test_any_text_without_a_mark_is_a_constant_template(text):
    text = text.replace("${", "")
    assert compile_template(text).render({}) == text

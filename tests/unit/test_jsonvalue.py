import sys

import pytest

from dagrun.domain.jsonvalue import MAX_DEPTH, NotJson, decode, encode, parse


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_what_is_encoded_decodes_to_the_same_value():
    value = {"a": [1, 2.5, None, True, "ü"], "big": 10**18}
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), object(), {1, 2}, "\ud800", nested(5000), [10**5000]],
    ids=["nan", "infinity", "object", "set", "surrogate", "deep", "digits"],
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(NotJson):
        encode(value)


def test_a_value_over_the_size_limit_is_refused_with_both_sizes():
    with pytest.raises(NotJson, match=r"12 bytes.*at most 10"):
        encode("x" * 10, limit=10)


def test_depth_counts_levels_and_not_brackets_in_strings():
    encode(["[" * 300, '\\"[' * 300, *[[] for _ in range(300)]])
    encode(nested(MAX_DEPTH))
    with pytest.raises(NotJson, match="deeper"):
        encode(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("text", [b"NaN", b"{", b'"\xff"', b"[" * 5000 + b"]" * 5000])
def test_malformed_text_from_outside_is_refused(text):
    with pytest.raises(NotJson):
        parse(text)


@pytest.mark.parametrize("key", [1, True, None, 1.5])
def test_a_key_that_is_no_text_is_refused_as_it_could_be_there_twice(key):
    with pytest.raises(NotJson, match="stands as a key, and is no text"):
        encode({"a": [({str(key): "text", key: "other"},)]})


def test_the_depth_of_a_large_text_is_found_in_few_steps(stepped):
    text = b'{"a":[' + b"[]," * 300 + b'"' + b'\\"[x' * 300_000 + b'"]}'
    steps = stepped(lambda: parse(text, limit=10_000_000))
    assert steps < 1000


@pytest.fixture
def stepped():
    """Count the lines of Python that a function takes."""

    def count(function):
        lines = []

        def trace(_frame, event, _argument):
            if event == "line":
                lines.append(1)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            function()
        finally:
            sys.settrace(before)
        return len(lines)

    return count


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 100_000, b'["' + b"\\\\" * 100_000 + b"\\"])
def test_a_text_without_its_end_is_refused_at_once(text):
    with pytest.raises(NotJson):
        parse(b"[" * 300 + text, limit=10_000_000)

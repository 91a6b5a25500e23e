"""What is hidden of secrets, what is held back for it, and which values cannot be hidden."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.jsonvalue import NotJson, Raw, decode
from dagrun.domain.masking import PATIENCE, Mask, Masker, mask_of, value_problem
from dagrun.domain.secret_forms import LONGEST_WAY, MAX_LINES, MAX_VALUE, OTHERWISE, writings
from dagrun.testing.secrets import ENCODERS

SECRET = 'hunter"2'
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nshort\n-----END KEY-----\n"


def feed(masker, *chunks):
    return [masker.feed(chunk) for chunk in chunks]


def hide_json(value, *secrets):
    raw = Raw(json.dumps(value).encode())
    return decode(Mask(secrets or [SECRET]).json(raw))


def test_a_line_that_cannot_be_the_beginning_of_a_secret_passes_at_once():
    masker = Masker(Mask([SECRET]))
    assert feed(masker, b"no secret here\n", b"nor there\n") == [
        b"no secret here\n",
        b"nor there\n",
    ]


def test_the_beginning_of_a_secret_is_held_back_until_it_is_clear_what_it_is():
    masker = Masker(Mask([SECRET]))
    assert feed(masker, b"go hun", b"t", b"ing") == [b"go ", b"", b"hunting"]
    assert feed(masker, b"go hun", b'ter"', b"2!") == [b"go ", b"", b"***!"]


def test_the_rest_comes_out_at_the_end():
    masker = Masker(Mask([SECRET]))
    assert masker.feed(b"hunt") == b""
    assert masker.finish() == b"hunt"


def test_a_secret_in_one_piece_goes_out_as_a_mask_at_once():
    assert Masker(Mask([SECRET])).feed(b'(hunter\\"2)') == b"(***)"


def test_secrets_that_overlap_are_hidden_together():
    mask = Mask(["abcdefgh", "xxabc"])
    assert mask.text("<xxabcdefgh>") == "<***>"
    masker = Masker(mask)
    pieces = [b"%c" % character for character in b"<xxabcdefgh>"]
    assert b"".join(feed(masker, *pieces)) == b"<***>"


def test_of_a_value_and_a_longer_one_that_begins_with_it_all_is_hidden():
    masker = Masker(Mask(["token", "token-of-mine"]))
    assert feed(masker, b"token", b"-of-mine token ") == [b"", b"*** *** "]


def test_lines_of_a_secret_are_hidden_by_themselves_unless_they_are_very_short():
    mask = Mask([PEM])
    assert mask.text("MIIEvQIBADANBgkqhkiG9w0BAQ") == "***"
    assert mask.text("this is short") == "this is short"
    assert mask.text(PEM) == "***\n"
    assert mask.text(json.dumps({"key": PEM})) == '{"key": "***\\n"}'
    assert mask.text(PEM.replace("\n", "\r\n")) == "***\r\n"


def test_blanks_around_a_value_do_not_matter():
    assert Mask(["  padded\t\n"]).text("padded") == "***"


def test_a_program_that_quotes_a_character_needlessly_does_not_get_it_past_the_mask():
    assert Mask(["a b's"]).text(r"a\ b\'s a+b%27s") == "*** ***"


def test_outputs_are_hidden_in_strings_keys_and_numbers():
    value = {"plain": SECRET, SECRET: [1, {"nested": json.dumps(SECRET)}], "n": None, "b": True}
    assert hide_json(value) == {
        "plain": "***",
        "***": [1, {"nested": '"***"'}],
        "n": None,
        "b": True,
    }
    assert hide_json({"pin": 12345678, "x": 1.5, "y": 9123456789}, "12345678") == {
        "pin": "***",
        "x": 1.5,
        "y": "9***9",
    }


def test_outputs_without_secrets_stay_the_same_text():
    raw = Raw(b'{ "a" : "b" }')
    assert Mask([SECRET]).json(raw) is raw
    assert bytes(Mask([SECRET]).json(Raw(b'{"a":"\\n\\u00e9"}'))) == '{"a":"\\né"}'.encode()


def test_a_value_that_is_spread_over_several_strings_is_refused():
    with pytest.raises(NotJson, match="spread over several"):
        Mask(['xx","yy']).json(Raw(b'{"a":["xx","yy"]}'))


def test_text_that_utf8_cannot_hold_stays_as_it_is():
    assert Mask([SECRET]).text('\udc80 hunter"2 \ud800') == "\udc80 *** \ud800"


def test_the_same_secrets_share_a_mask():
    assert mask_of(("one-secret",)) is mask_of(("one-secret",))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "it has 0 bytes; below 4"),
        (" abc\n", "it has 3 bytes; below 4"),
        ("\udc80abcd", "no UTF-8 text"),
        ("nul\0nul", "NUL"),
        ("x" * (MAX_VALUE + 1), "at most"),
        ("line\n" * (MAX_LINES + 1), "lines"),
    ],
)
def test_what_could_not_be_hidden_is_no_secret(value, problem):
    assert problem in value_problem(value)


@pytest.mark.parametrize("value", ["abcd", "é😀", "x" * MAX_VALUE, "line\n" * MAX_LINES])
def test_what_can_be_hidden_is_a_secret(value):
    assert value_problem(value) is None


def test_every_way_to_write_a_character_has_its_bound_and_begins_unlike_a_letter():
    for number in [*range(0x3000), 0xFFFD, 0x1F600, 0x10FFFF]:
        character = chr(number)
        ways = writings(character)
        assert max(map(len, ways)) <= LONGEST_WAY
        if not (character.isascii() and character.isalnum()):
            assert not any(way[:1].isalnum() for way in ways)
        assert all(way[0] in OTHERWISE for way in ways if way != character.encode())
        if character.isascii() and character not in "\\%'":
            assert not any(way.startswith(character.encode()) for way in ways[1:])


def seconds_per_megabyte(mask, text, *, pieces=1 << 16):
    """Give the processor time that a masker takes for a text that is said over and over."""
    data = text * ((1 << 19) // len(text))
    masker = Masker(mask)
    begin = time.process_time()
    for at in range(0, len(data), pieces):
        masker.feed(data[at : at + pieces])
    masker.finish()
    return (time.process_time() - begin) * (1 << 20) / len(data)


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("0000-1111-2222-3333", b"0" * 4000 + b"\n"),
        ("0000-1111-2222-3333", b"0000-1111-2222-333\n"),
        ("secret-with-normal-text", b"secr\n"),
        ("0" * 40 + "1", b"0" * 4000 + b"\n"),
        ("a\\\\\\\\b" * 20, b"a" + b"\\" * 99),
        ("%25" * 20, b"%25252525"),
    ],
)
def test_a_text_that_looks_like_a_secret_at_every_place_is_searched_quickly(secret, text):
    mask = Mask([secret])
    seconds_per_megabyte(mask, text)  # it may learn
    assert seconds_per_megabyte(mask, text) < 0.4


@given(
    secret=st.text("ab-\\%é", min_size=5, max_size=200).filter(lambda s: not value_problem(s)),
    text=st.text("ab-\\%é", max_size=300),
    size=st.integers(1, 50),
    cut=st.integers(0, 200),
    name=st.sampled_from(sorted(ENCODERS)),
)
def test_long_heads_find_and_hold_back_what_short_ones_do(secret, text, size, cut, name):
    short, long = Mask([secret]), Mask([secret])
    long._false_alarms = PATIENCE
    long._note_false_alarm()
    data = (text + ENCODERS[name](secret) + text + ENCODERS[name](secret)[:cut]).encode()
    maskers = Masker(short), Masker(long)
    for at in range(0, len(data), size):
        first, second = (masker.feed(data[at : at + size]) for masker in maskers)
        assert first == second
    assert maskers[0].finish() == maskers[1].finish()
    assert long._depth > short._depth

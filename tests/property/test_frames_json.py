"""Whatever a frame holds, it is the same after it was JSON; and what is no frame is refused."""

import enum
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.events import Event
from dagrun.domain.ids import ID_PATTERN
from dagrun.domain.jsonvalue import MAX_DEPTH, Raw, encode
from dagrun.plugin.frames_json import Malformed, decode_frames, encode_frames
from dagrun.ports.frames import Beat, Dispatch, Frame, Report
from dagrun.testing.frames import SPACED, from_engine, from_orchestrator
from dagrun.testing.transports import BAD_EVENTS

TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RAW = JSON.map(encode) | st.just(SPACED)
DATA = st.builds(
    lambda data, raw: {**data, **raw},
    st.dictionaries(TEXT.filter(lambda name: name not in ("outputs", "items")), JSON, max_size=3),
    st.fixed_dictionaries({}, optional={"outputs": RAW, "items": RAW}),
)
PLAIN = {
    str: TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=10),
    datetime: st.datetimes(timezones=st.just(UTC)),
    Raw: RAW,
    type(None): st.none(),
    Mapping[str, Any]: DATA,
    Mapping[str, str]: st.dictionaries(TEXT, TEXT, max_size=3),
    Mapping[str, float]: st.dictionaries(
        TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=3
    ),
}


FROM_ONE = st.integers(1, 2**63 - 1)
NUMBERS_OF_EVENTS = {
    "seq": FROM_ONE,
    "epoch": FROM_ONE,
    "item": st.none() | st.integers(0, 2**63 - 1),
    "attempt": st.none() | FROM_ONE,
}


def values(kind):
    """Give a strategy for what a field of a type may hold."""
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, NewType):
        return values(kind.__supertype__)
    if get_origin(kind) is types.UnionType:
        return st.one_of(map(values, get_args(kind)))
    if get_origin(kind) is tuple:
        first, *rest = get_args(kind)
        if rest == [...]:
            return st.lists(values(first), max_size=2).map(tuple)
        return st.tuples(*map(values, get_args(kind)))
    if issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    hints = get_type_hints(kind)
    fields = {field.name: values(hints[field.name]) for field in attrs.fields(kind)}
    if kind is Event:
        fields |= NUMBERS_OF_EVENTS
    if kind is Dispatch:
        fields["run_id"] = st.from_regex(ID_PATTERN, fullmatch=True)
    return st.builds(kind, **fields)


@pytest.mark.parametrize("kind", get_args(Frame), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_frames_are_the_same_after_they_were_json(kind, data):
    frames = tuple(data.draw(st.lists(values(kind), max_size=2)))
    assert decode_frames(encode_frames(frames)) == frames


@pytest.mark.parametrize("frames", [from_engine(), from_orchestrator()])
def test_what_stays_text_stays_just_as_it_was(frames):
    assert SPACED in encode_frames(frames)
    assert list(decode_frames(encode_frames(frames))) == list(frames)


EVENT = b'{"run_id":"r","seq":1,"epoch":1,"type":"%s","time":"%s","data":%s}'
REPORT = b'[["Report",{"events":[' + EVENT + b'],"taken":[]}]]'
NOON = b"2026-01-01T12:00:00Z"


def test_such_an_event_is_read():
    assert decode_frames(REPORT % (b"run.queued", NOON, b"{}"))


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[", b"{}", b"\xff", b"[" * 100_000, b"[[]]", b'[["Beat"]]', b'[["Beat",[]]]'),
        b'[["Pigeon",{}]]',
        b'[["Beat",{"number":1}]]',
        b'[["Beat",{"number":"1","held":[]}]]',
        b'[["Beat",{"number":1,"held":[],"newer":1}]]',
        b'[["Beat",{"number":1,"held":' + b"[" * 100_000 + b"]" * 100_000 + b"}]]",
        REPORT % (b"run.eaten", NOON, b"{}"),
        REPORT % (b"run.queued", b"2026-01-01T12:00:00", b"{}"),
        REPORT % (b"run.queued", NOON, b"[]"),
        REPORT % (b"run.queued", NOON, b'{"outputs":{]}'),
        REPORT % (b"run.queued", NOON, b'{"outputs":' + b"[" * 201 + b"]" * 201 + b"}"),
        REPORT % (b"run.queued", NOON, b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
)
def test_what_is_no_frame_is_refused(text):
    with pytest.raises(Malformed, match="cannot read"):
        decode_frames(text)


@pytest.mark.parametrize("bad", BAD_EVENTS)
def test_an_event_that_cannot_be_is_refused(bad):
    with pytest.raises(Malformed, match="cannot read"):
        decode_frames(encode_frames([Report(events=(bad,))]))


@pytest.mark.parametrize(
    "text",
    [
        b'[["Beat",{"number":%d,"held":[]}]]',
        b'[["Beat",{"number":1,"held":[["r",%d]]}]]',
        b'[["Report",{"events":[],"taken":[["r",1,%d]]}]]',
        b'[["LogsKept",{"count":%d}]]',
    ],
)
def test_a_number_that_no_database_holds_is_refused(text):
    assert decode_frames(text % (2**63 - 1))
    with pytest.raises(Malformed, match="cannot read"):
        decode_frames(text % 2**63)


def test_no_frames_are_frames_too():
    assert decode_frames(encode_frames([])) == ()
    assert decode_frames(b' [ [ "Beat" , {"held":[],"number":1} ] ] ') == (Beat(number=1, held=()),)


def test_text_as_deep_as_it_may_be_is_read():
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    (report,) = decode_frames(REPORT % (b"run.queued", NOON, b'{"outputs":' + deep + b"}"))
    assert bytes(report.events[0].data["outputs"]) == deep

"""How logs are read while they are written."""

import pytest

from dagrun.domain.events import Type
from dagrun.roles.run_logs import PIECE, Tail
from dagrun.services.node_logs import NodeLogs
from dagrun.testing.stores import event


@pytest.fixture
def logs(tmp_path):
    return NodeLogs(tmp_path, cap=3 * PIECE)


class House:
    """Attempts that write, and who reads along."""

    def __init__(self, logs, **wanted):
        self.now = 0.0
        self.logs, self.tail = logs, Tail(logs, "r", clock=lambda: self.now, **wanted)
        self.seq = 0
        self.open = {}

    def happen(self, kind, node_id="a", item=None, attempt=1):
        self.seq += 1
        made = event(self.seq, Type(kind), node_id=node_id, item=item, attempt=attempt, run_id="r")
        self.tail.see([made])

    def write(self, data, node_id="a", item=None, attempt=1):
        key = (node_id, attempt, item)
        if key not in self.open:
            self.open[key] = self.logs.open("r", *key)
        self.open[key].write(data)

    def read(self, how="new"):
        pieces = list(getattr(self.tail, how)())
        return [(s.node_id, s.item, s.attempt, text) for s, text in pieces]


def texts(found):
    return [text for *_, text in found]


@pytest.fixture
def house(logs):
    return House(logs)


def test_lines_are_given_when_they_are_whole_or_when_nothing_more_comes(house):
    house.happen("node.running")
    assert house.read() == []
    house.write(b"one\ntw")
    assert texts(house.read()) == ["one\n"]
    house.write(b"o\nthree? ")
    assert texts(house.read()) == ["two\n"]
    assert texts(house.read()) == ["three? "]
    assert house.read() == []
    house.write(b"yes\n")
    assert texts(house.read()) == ["yes\n"]


def test_a_character_is_not_torn_apart(house):
    house.happen("node.running")
    for byte in "ä€\n".encode():
        house.write(bytes([byte]))
        found = texts(house.read())
    assert found == ["ä€\n"]
    house.write(b"\xc3")
    assert (house.read(), house.read()) == ([], [])
    assert texts(house.read("rest")) == ["\ufffd"]


def test_attempts_that_start_later_are_read_too_and_ended_ones_to_their_end(house):
    house.happen("node.running")
    house.write(b"first")
    house.happen("node.retrying")
    house.happen("node.running", attempt=2)
    house.write(b"second\n", attempt=2)
    house.happen("node.running", "b", item=3)
    house.write(b"item\n", "b", item=3)
    assert house.read() == [
        ("a", None, 1, "first"),
        ("a", None, 2, "second\n"),
        ("b", 3, 1, "item\n"),
    ]
    house.write(b"late\n")
    assert house.read() == []


def test_an_attempt_that_is_made_again_after_a_crash_is_one_log(house):
    house.happen("node.running")
    house.write(b"one\n")
    assert texts(house.read()) == ["one\n"]
    house.happen("node.running")
    house.write(b"two\n")
    house.happen("node.succeeded")
    assert texts(house.read()) == ["two\n"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"node": "a"}, ["a", "a2"]),
        ({"attempt": 2}, ["a2"]),
        ({"item": 0}, ["b0"]),
        ({"node": "b"}, ["b0", "b1"]),
        ({"node": "a", "item": 0}, []),
    ],
)
def test_only_what_is_asked_for_is_read(logs, wanted, found):
    house = House(logs, **wanted)
    for key in (("a", None, 1), ("a", None, 2), ("b", 0, 1), ("b", 1, 1)):
        house.happen("node.running", *key)
        node_id, item, attempt = key
        name = f"{node_id}{'' if item is None else item}{'' if attempt == 1 else attempt}"
        house.write(name.encode() + b"\n", *key)
    assert texts(house.read()) == [f"{name}\n" for name in found]


def test_a_log_that_is_cut_is_given_up_to_its_marker_and_long_lines_in_parts(house):
    house.happen("node.running")
    house.write(b"x" * 4 * PIECE)
    house.happen("node.succeeded")
    found = texts(house.read())
    marker = f"\n[dagrun: log cut, {3 * PIECE} bytes are allowed]\n"
    assert "".join(found) == "x" * 3 * PIECE + marker
    assert max(map(len, found)) <= PIECE


def test_a_log_that_grows_without_lines_is_given_in_parts(house):
    house.happen("node.running")
    house.write(b"x" * PIECE)
    assert texts(house.read()) == ["x" * PIECE]


def test_what_comes_from_an_engine_elsewhere_behind_the_end_of_its_attempt_is_read(logs):
    house = House(logs, late=2.0)
    house.happen("node.running")
    house.happen("node.succeeded")
    assert house.read() == []
    house.now = 1.9
    house.write(b"one\n")
    assert texts(house.read()) == ["one\n"]
    house.now = 3.8
    house.write(b"two\n")
    assert texts(house.read()) == ["two\n"]
    assert house.tail.expects()
    house.now = 5.8
    assert house.read() == []
    assert not house.tail.expects()


def test_nothing_is_waited_for_of_attempts_that_may_go_on_for_ever(logs):
    house = House(logs, late=2.0)
    house.happen("node.running")
    assert not house.tail.expects()
    house.write(b"one")
    assert texts(house.read("rest")) == ["one"]

"""How logs are read while they are written."""

import pytest

from dagrun.domain.events import Type
from dagrun.roles.run_logs import PIECE, Tail
from dagrun.services.node_logs import NodeLogs
from dagrun.testing.journals import event


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

    def happen(self, kind, node_id="a", item=None, attempt=1, epoch=1):
        self.seq += 1
        about = {"node_id": node_id, "item": item, "attempt": attempt, "epoch": epoch}
        self.tail.see([event(self.seq, Type(kind), run_id="r", **about)])

    def arrive(self, data, epoch, offset=0):
        self.logs.put("r", "a", 1, epoch=epoch, offset=offset, data=data)

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


SEAM = "\n[dagrun: cut off here, and made again]\n"
LATE = "\n[dagrun: came late, from before it was made again]\n"
BACK = "\n[dagrun: so far what came late]\n"


def shown(house, how="new"):
    return "".join(texts(house.read(how)))


def test_what_comes_late_of_an_earlier_epoch_stands_before_the_later_one_and_nothing_comes_twice(
    logs,
):
    house = House(logs, late=2.0)
    house.happen("node.running")
    house.arrive(b"one\n", epoch=1)
    assert shown(house) == "one\n"
    house.now = 100.0
    house.happen("node.running", epoch=2)
    house.arrive(b"again\n", epoch=2)
    assert shown(house) == ""
    house.now = 101.9
    house.arrive(b"last words\n", epoch=1, offset=4)
    assert shown(house) == "last words\n"
    house.now = 103.8
    assert shown(house) == ""
    house.now = 104.0
    assert shown(house) == SEAM + "again\n"
    house.arrive(b"and on\n", epoch=2, offset=6)
    assert shown(house) == "and on\n"
    whole = logs.read("r", "a", 1).decode()
    assert whole == f"one\nlast words\n{SEAM}again\nand on\n"


def test_what_comes_after_all_patience_is_given_once_between_lines_that_say_so(logs):
    house = House(logs, late=2.0)
    house.happen("node.running")
    house.happen("node.running", epoch=2)
    house.now = 10.0
    house.arrive(b"second\n", epoch=2)
    assert shown(house) == "second\n"
    house.arrive(b"first\n", epoch=1)
    assert shown(house) == LATE + "first\n"
    house.arrive(b"first\nmore\n", epoch=1)
    assert shown(house) == "more\n"
    house.arrive(b"on\n", epoch=2, offset=7)
    assert shown(house) == BACK + "on\n"
    house.arrive(b"second\non\n", epoch=2)
    assert shown(house) == ""


def test_a_later_epoch_is_not_waited_for_when_its_attempt_has_ended(logs):
    house = House(logs, late=2.0)
    house.happen("node.running")
    house.arrive(b"one\n", epoch=1)
    house.happen("node.running", epoch=3)
    house.arrive(b"three\n", epoch=3)
    assert shown(house) == "one\n"
    assert shown(house, "rest") == SEAM + "three\n"


def test_a_follower_that_comes_later_sees_the_epochs_in_their_order(logs):
    house = House(logs, late=2.0)
    for epoch in (2, 1):
        house.arrive(b"%d\n" % epoch, epoch=epoch)
    for epoch in (1, 2):
        house.happen("node.running", epoch=epoch)
    seen = shown(house)
    house.now = 2.0
    assert seen + shown(house) == f"1\n{SEAM}2\n"

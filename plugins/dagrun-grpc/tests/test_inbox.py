"""What waits to be read is kept in little more than its bytes."""

import tracemalloc

import pytest

from dagrun.errors import ChannelLost
from dagrun_grpc.aio.inbox import Changes, Inbox

PIECES = 20_000


@pytest.fixture
def acknowledged():
    return []


@pytest.fixture
def inbox(acknowledged):
    return Inbox(acknowledged.append, Changes())


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_what_comes_in_tiny_pieces_takes_no_more_room_than_in_large_ones(inbox, piece):
    tracemalloc.start()
    try:
        for _ in range(PIECES):
            inbox.add(piece, len(piece))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * PIECES


def test_no_more_may_be_sent_before_what_waits_is_taken(inbox, acknowledged):
    inbox.add(b"abcdef", 6)
    assert acknowledged == []
    assert inbox.take(4) == b"abcd"
    assert acknowledged == [4]
    assert inbox.unacked_size() == 2


def test_padding_is_not_kept_and_more_may_be_sent_at_once(inbox, acknowledged):
    inbox.add(b"ab", 258)
    assert acknowledged == [256]
    assert inbox.take(2) == b"ab"
    assert acknowledged == [256, 2]


def test_of_a_message_longer_than_a_window_the_rest_may_come_while_its_beginning_waits(
    inbox, acknowledged
):
    inbox.add(b"abc", 3)
    assert inbox.take(5) is None
    assert acknowledged == [3]
    inbox.add(b"defg", 4)
    assert inbox.take(5) == b"abcde"
    assert acknowledged == [3, 2]


def test_an_end_in_the_middle_of_a_message_is_a_loss(inbox):
    inbox.add(b"abc", 3)
    inbox.eof()
    assert inbox.take(3) == b"abc"
    assert inbox.take(1) == b""
    inbox.add(b"abc", 3)
    with pytest.raises(ChannelLost, match="in the middle"):
        inbox.take(5)

"""What an operator reads of callers who are not let in."""

from dagrun.errors import NotAuthenticated
from dagrun_grpc.aio.turned_away import PAUSE, TurnedAway

PEER = ("127.0.0.1", 7)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_of_many_callers_one_is_told_of_and_how_many_there_were(caplog):
    clock = Clock()
    turned_away = TurnedAway(clock)
    for _ in range(100):
        turned_away.note("/a/B", PEER, NotAuthenticated("this needs a token"))
    clock.now = PAUSE
    turned_away.note("/a/C", PEER, NotAuthenticated("the token is not known"))
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "/a/B from 127.0.0.1:7 is refused: this needs a token",
        "/a/C from 127.0.0.1:7 is refused: the token is not known; 99 others were refused before",
    ]

"""An engine that dials says why it has no orchestrator, once for each reason."""

import math
from contextlib import asynccontextmanager

import pytest
import trio

from dagrun.errors import ChannelLost
from dagrun.services.attachment.dialling import Dialling


class Attachment:
    """Talks for a second with whom it reaches."""

    attached, interval = 0, math.inf

    async def converse(self, channel):
        self.attached += 1
        await trio.sleep(1)
        raise ChannelLost("it went away")


class Network:
    def __init__(self, *answers):
        self.answers, self.times = list(answers), []

    @asynccontextmanager
    async def connect(self):
        await trio.lowlevel.checkpoint()
        self.times.append(trio.current_time())
        answer = self.answers.pop(0) if self.answers else "nobody answers"
        if answer is not None:
            raise ChannelLost(answer)
        yield "channel"


async def dial(nursery, network, **known):
    attachment = Attachment()
    vars(attachment).update(known)
    dialling = Dialling(attachment, network.connect, draw=lambda: 1.0)
    await nursery.start(dialling.run)


async def test_the_same_reason_is_told_once_and_again_when_it_came_back(
    nursery, autojump_clock, caplog
):
    network = Network("nobody answers", "nobody answers", "turned away", None)
    await dial(nursery, network)
    await trio.sleep(30)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    reasons = ("nobody answers", "turned away", "it went away", "nobody answers")
    assert told == [f"no orchestrator: {reason}" for reason in reasons]


async def test_pauses_double_up_to_five_seconds_and_begin_anew_behind_a_conversation(
    nursery, autojump_clock
):
    network = Network(*["nobody answers"] * 7, None)
    await dial(nursery, network)
    await trio.sleep(22)
    pauses = [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 1 + 0.1, 0.2]
    expected = [sum(pauses[:count]) for count in range(len(pauses) + 1)]
    assert network.times[: len(expected)] == pytest.approx(expected)


async def test_who_has_a_lease_waits_no_longer_than_from_one_heartbeat_to_the_next(
    nursery, autojump_clock
):
    network = Network()
    await dial(nursery, network, interval=1.5)
    await trio.sleep(7)
    pauses = [0.2, 0.4, 0.8, 1.5, 1.5, 1.5]
    expected = [sum(pauses[:count]) for count in range(len(pauses) + 1)]
    assert network.times[: len(expected)] == pytest.approx(expected)

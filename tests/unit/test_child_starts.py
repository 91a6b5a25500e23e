"""Child runs that engines ask for, on one stream after the other."""

import pytest
import trio
import trio.testing

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.errors import ChannelLost
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.frames import ChildStarted, Hello, StartChild
from dagrun.services.fleet import child_starts
from dagrun.services.fleet.child_starts import ChildStarts
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import RemoteEngine

REQUEST = ChildRequest(
    parent=RunId("r"),
    epoch=1,
    node_id="a",
    item=None,
    attempt=1,
    workflow_id="w",
    version=None,
    inputs=EMPTY,
)
CHILD = Child(run_id=RunId("c"), version="1.0.0")


class Slow:
    """Starts children when a test lets it."""

    def __init__(self):
        self.asked, self.go_on = 0, trio.Event()

    async def start(self, request):
        self.asked += 1
        await self.go_on.wait()
        return CHILD


def attached(name="e", instance="i"):
    """Give an engine with a stream."""
    hello = Hello(engine_id=name, instance=instance, release="0", capacity=1)
    engine = RemoteEngine(hello, None, None)
    engine.attach(Outbox(), address="", close=lambda: None)
    return engine


def ask(starts, engine, number):
    starts.wanted(engine, StartChild(number=number, request=REQUEST))


async def test_what_is_asked_for_on_stream_after_stream_is_started_once(nursery):
    children, engine = Slow(), attached()
    starts = ChildStarts(children, nursery.start_soon)
    for _ in range(3):
        ask(starts, engine, 1)
        await trio.testing.wait_all_tasks_blocked()
        engine.hang_up()
        engine.attach(Outbox(), address="", close=lambda: None)
    children.go_on.set()
    assert list(await engine.outbox.take()) == [ChildStarted(number=1, child=CHILD)]
    assert children.asked == 1


async def test_what_was_answered_while_there_was_no_stream_is_answered_when_asked_again(nursery):
    children, engine = Slow(), attached()
    starts = ChildStarts(children, nursery.start_soon)
    ask(starts, engine, 1)
    engine.hang_up()
    children.go_on.set()
    await trio.testing.wait_all_tasks_blocked()
    engine.attach(Outbox(), address="", close=lambda: None)
    ask(starts, engine, 1)
    assert list(await engine.outbox.take()) == [ChildStarted(number=1, child=CHILD)]


async def test_an_engine_may_not_want_more_than_some_at_once(nursery, monkeypatch):
    monkeypatch.setattr(child_starts, "MAX_WANTED", 2)
    children, engine, other = Slow(), attached(), attached("other")
    starts = ChildStarts(children, nursery.start_soon)
    for number in (1, 2, 1, 2):
        ask(starts, engine, number)
    with pytest.raises(ChannelLost, match="too many"):
        ask(starts, engine, 3)
    with pytest.raises(ChannelLost, match="too many"):
        ask(starts, attached(instance="its next life"), 1)
    ask(starts, other, 3)
    children.go_on.set()
    await trio.testing.wait_all_tasks_blocked()
    ask(starts, engine, 3)

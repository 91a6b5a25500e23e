"""Subscribers get every event, each at its own pace, and nobody waits for them."""

import logging
import tracemalloc
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.subscribers import LogSubscriber
from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.monitoring import MonitorEvent
from dagrun.errors import ConfigError, StoreBusy
from dagrun.plugin.loading import load_plugins
from dagrun.services.monitor import Monitor
from dagrun.services.subscribers import AGAIN, BUFFER, FAREWELL, MOST, Subscribers
from dagrun.testing.journals import new_run
from dagrun.testing.subscribers import SubscriberSuite, of_all_types

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Heard:
    """Notes what it hears, and takes its time."""

    def __init__(self, pause=0.0):
        self.pages = []
        self.pause = pause
        self.open = None

    async def __aenter__(self):
        self.open = True
        return self

    async def __aexit__(self, *_):
        self.open = False

    async def handle(self, events):
        await trio.sleep(self.pause * len(events))
        self.pages.append(events)

    @property
    def ids(self):
        return [event.id for page in self.pages for event in page]


class Failing(Heard):
    """Fails for some events."""

    def __init__(self, *wrong):
        super().__init__()
        self.wrong = wrong

    async def handle(self, events):
        await super().handle(events)
        if any(event.id in self.wrong for event in events):
            raise LookupError("no such place")


class Bus:
    """A store and a monitor, with what tells of nodes one after the other."""

    def __init__(self):
        self.store = MemoryStore()
        self.monitor = Monitor(self.store, lambda _: ("w", "e1"), position=0)
        self.count = 0

    async def tell(self, count=1):
        new = [] if self.count else [new_run()]
        numbers = range(self.count + 1, self.count + count + 1)
        events = [Event(RunId("r"), n, 1, Type.NODE_RUNNING, NOW, "a") for n in numbers]
        self.count += count
        done = await self.store.commit(events, new_runs=new)
        self.monitor.publish(done.taken, done.position)


@asynccontextmanager
async def telling(**subscribers):
    """Tell subscribers of what a bus tells, as the roles do; at the end they get what waits."""
    async with trio.open_nursery() as nursery:
        bus = Bus()
        service = await nursery.start(Subscribers(subscribers, bus.monitor.subscribe_pages).run)
        try:
            async with bus.store:
                bus.service = service
                yield bus
        finally:
            bus.monitor.close()
            service.hurry()


def ids(count):
    return [str(number) for number in range(1, count + 1)]


async def test_each_subscriber_gets_all_events_in_order(autojump_clock):
    one, other = Heard(), Heard()
    async with telling(one=one, other=other) as bus:
        for _ in range(5):
            await bus.tell()
            await trio.testing.wait_all_tasks_blocked()
        bus.monitor.announce("engine.joined", engine_id="e1")
    assert one.ids == other.ids == [*ids(5), "5.1"]
    assert one.open is False


async def test_what_came_meanwhile_comes_together_up_to_a_hundred_events(autojump_clock):
    slow = Heard(pause=1)
    async with telling(slow=slow) as bus:
        await bus.tell()
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(25):
            await bus.tell(10)
        await trio.sleep(300)
    assert [len(page) for page in slow.pages] == [1, MOST, MOST, 50]
    assert slow.ids == ids(251)


async def test_a_subscriber_of_one_event_a_second_misses_none_and_holds_up_nobody(autojump_clock):
    """It is behind by more than its buffer again and again, and reads on from the store."""
    slow, quick = Heard(pause=1), Heard()
    count, waiting = 6 * BUFFER, []
    async with telling(slow=slow, quick=quick) as bus:
        for _ in range(count // 50):
            await bus.tell(50)
            waiting.append(bus.monitor.statistics().waiting)
            await trio.sleep(25)
        assert quick.ids == ids(count)
        await trio.sleep(count)
        assert bus.service.statistics()["slow"].caught_up > 1
        assert bus.service.statistics()["quick"].caught_up == 0
    assert slow.ids == ids(count)
    assert max(waiting) <= BUFFER + 50
    assert trio.current_time() >= count


async def test_events_without_a_run_reach_only_who_keeps_up(autojump_clock):
    slow, quick = Heard(pause=1), Heard()
    async with telling(slow=slow, quick=quick) as bus:
        await bus.tell(BUFFER)
        await trio.testing.wait_all_tasks_blocked()
        await bus.tell(2 * BUFFER)
        bus.monitor.announce("engine.lost", engine_id="e1")
        await trio.sleep(4 * BUFFER)
        bus.monitor.announce("engine.joined", engine_id="e1")
    assert slow.ids == [*ids(3 * BUFFER), f"{3 * BUFFER}.2"]
    assert quick.ids[-1] == f"{3 * BUFFER}.2"


async def test_a_failing_subscriber_goes_on_behind_what_failed(autojump_clock, caplog):
    failing, other = Failing("2", "3"), Heard()
    async with telling(failing=failing, other=other) as bus:
        for _ in range(4):
            await bus.tell()
            await trio.testing.wait_all_tasks_blocked()
        fared = bus.service.statistics()["failing"]
    assert failing.ids == other.ids == ids(4)
    assert (fared.handled, fared.failed) == (2, 2)
    assert [
        (r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("dagrun")
    ] == [
        ("ERROR", "subscriber failing failed: LookupError('no such place')"),
        ("WARNING", "subscriber failing works again; 2 events failed"),
    ]


async def test_a_store_that_cannot_be_read_is_read_again(autojump_clock, caplog):
    slow = Heard(pause=0.001)
    async with telling(slow=slow) as bus:
        read, fails = bus.store.log, iter((True, False, True))

        async def log(**asked):
            if next(fails, False):
                raise StoreBusy("somebody else has it")
            return await read(**asked)

        bus.store.log = log
        await bus.tell(3 * BUFFER)
        await trio.sleep(10)
    assert slow.ids == ids(3 * BUFFER)
    assert 2 * AGAIN < trio.current_time() <= 10
    assert caplog.text.count("has to wait for older events: somebody else has it") == 2


async def test_hundreds_of_subscribers_that_never_return_cost_no_more_for_more_events():
    async def never(_events):
        await trio.sleep_forever()

    subscribers = {str(number): Heard() for number in range(300)}
    for subscriber in subscribers.values():
        subscriber.handle = never
    sizes = []
    with trio.move_on_after(60) as scope:
        async with telling(**subscribers) as bus:
            bus.store.commit = None  # nothing is stored, so that only the buffers grow
            for number in range(1, 4001):
                bus.monitor.publish([Event(RunId("r"), number, 1, Type.NODE_RUNNING, NOW)], number)
                if number == 1:
                    await trio.testing.wait_all_tasks_blocked()
                if number == BUFFER + 2:
                    tracemalloc.start()
            sizes.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
            assert bus.monitor.statistics().waiting == 300 * BUFFER
            bus.service._scope.deadline = trio.current_time()
            bus.service.hurry = lambda: None
    assert not scope.cancelled_caught
    assert sizes[0] < 100_000, sizes  # bytes


# starting and ending


async def test_what_waits_at_the_end_is_still_told(autojump_clock):
    slow = Heard(pause=0.01)
    async with telling(slow=slow) as bus:
        await bus.tell(MOST)
    assert slow.ids == ids(MOST)
    assert slow.open is False


async def test_a_subscriber_that_takes_too_long_at_the_end_is_left(autojump_clock):
    stuck, other = Heard(pause=1000), Heard()
    async with telling(stuck=stuck, other=other) as bus:
        await bus.tell(2)
    assert trio.current_time() == FAREWELL
    assert (stuck.ids, stuck.open) == ([], False)
    assert other.ids == ids(2)


async def test_a_cancellation_from_outside_does_not_take_the_last_events(autojump_clock):
    heard = Heard()
    with trio.CancelScope() as scope:
        async with telling(heard=heard) as bus:
            scope.cancel()
            events = [Event(RunId("r"), 1, 1, Type.RUN_CANCELLED, NOW)]
            bus.monitor.publish(events, 1)
            await trio.sleep_forever()
    assert heard.ids == ["1"]


async def test_one_that_cannot_begin_ends_the_others_before_anything_was_told(autojump_clock):
    class Impossible(Heard):
        async def __aenter__(self):
            raise ConfigError("no such folder")

    first = Heard()
    with pytest.RaisesGroup(ConfigError):
        async with telling(first=first, second=Impossible()):
            pass
    assert first.open is False


async def test_a_start_that_is_cancelled_ends(autojump_clock):
    for delay in (0, 1):
        late = Heard()

        async def enter(late=late):
            await trio.sleep(1)
            return late

        late.__class__ = type("Late", (Heard,), {"__aenter__": lambda _, enter=enter: enter()})
        with trio.move_on_after(delay) as scope:
            async with telling(late=late):
                await trio.sleep_forever()
        assert scope.cancelled_caught


# the one that comes with the core


class TestLogSubscriber(SubscriberSuite):
    @pytest.fixture(autouse=True)
    def _captured(self, caplog):
        caplog.set_level(logging.INFO, logger="dagrun.events")
        self.caplog = caplog

    def make_subscriber(self):
        return LogSubscriber()

    async def told(self):
        return [record.id for record in self.caplog.records if record.name == "dagrun.events"]


async def test_a_line_of_the_log_has_the_severity_as_level_and_all_that_is_known(caplog):
    caplog.set_level(logging.INFO, logger="dagrun.events")
    lost = MonitorEvent(
        id="7.1", type="engine.lost", severity="warning", time=NOW, engine_id="e1", data={"n": 1}
    )
    await LogSubscriber().handle([lost])
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "engine.lost")
    known = ("id", "time", "engine_id", "data")
    assert [getattr(record, name) for name in known] == [
        *("7.1", "2026-01-01T00:00:00.000000Z", "e1", {"n": 1})
    ]
    assert not hasattr(record, "node_id")


async def test_every_severity_has_a_level(caplog):
    caplog.set_level(logging.INFO, logger="dagrun.events")
    await LogSubscriber().handle(of_all_types())
    assert {r.levelname for r in caplog.records} == {"INFO", "WARNING", "ERROR", "CRITICAL"}


def test_the_subscriber_is_on_its_shelf():
    assert load_plugins().registry.subscribers.get("log") is LogSubscriber


class TestPlainSubscriber(SubscriberSuite):
    """It has nothing to open, and so nothing to be entered."""

    def setup_method(self):
        self.ids = []

    def make_subscriber(self):
        ids = self.ids

        class Plain:
            async def handle(self, events):
                ids.extend(event.id for event in events)

        return Plain()

    async def told(self):
        return self.ids

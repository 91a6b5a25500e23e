"""A stream to every engine that was found, and again when it has ended."""

from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio

from dagrun.builtin.discovery import RegisterDiscovery, StaticDiscovery
from dagrun.errors import ChannelLost, ConfigError
from dagrun.services.discoveries import MAX_OPENING, Discoveries


class Told:
    """A discovery that finds what a test says."""

    async def run(self, found, *, task_status=trio.TASK_STATUS_IGNORED):
        self.found = found
        task_status.started()
        await trio.sleep_forever()


class Network:
    """Engines that answer, or do not, and how often each was dialled."""

    def __init__(self):
        self.down, self.dialled, self.open = set(), [], {}
        self.shown = set()
        """Where whoever listens may see the token."""

    @asynccontextmanager
    async def dial(self, address, *, trusted):
        if trusted:
            self.shown.add(address)
        self.dialled.append((trio.current_time(), address))
        await trio.lowlevel.checkpoint()
        if address in self.down:
            raise ChannelLost("nobody there")
        if address == "no address":
            raise ConfigError("'no address' is no address")
        yield address

    async def converse(self, address):
        """Talk as the fleet does, whose nursery puts what it raises into a group."""
        async with trio.open_nursery() as nursery:
            self.open[address] = nursery.cancel_scope
            try:
                await trio.sleep_forever()
            finally:
                del self.open[address]
        raise ExceptionGroup("a nursery's", [ChannelLost("it was ended")])

    def times(self, address):
        return [time for time, dialled in self.dialled if dialled == address]


@pytest.fixture
async def open_discoveries(nursery):
    async def start(sources, network, *, longest=10.0):
        service = Discoveries(
            sources,
            dial=network.dial,
            converse=network.converse,
            longest_pause=longest,
            draw=lambda: 1.0,  # no jitter: the whole pause
        )
        return await nursery.start(service.run)

    return start


async def test_every_engine_of_all_lists_gets_one_stream(open_discoveries, autojump_clock):
    network, told = Network(), Told()
    static = StaticDiscovery(engines=("a:1", "b:1"))
    service = await open_discoveries({"static": static, "told": told}, network)
    told.found(["b:1", "c:1"])
    told.found(["b:1", "c:1"])
    await trio.sleep(60)
    assert sorted(network.open) == ["a:1", "b:1", "c:1"]
    assert len(network.dialled) == 3
    assert service.statistics().found == service.statistics().dialled == 3


async def test_an_engine_that_does_not_answer_is_tried_again_with_growing_pauses(
    open_discoveries, autojump_clock, caplog
):
    network, told = Network(), Told()
    network.down.add("a:1")
    await open_discoveries({"told": told}, network, longest=1.0)
    told.found(["a:1"])
    await trio.sleep(4)
    times = network.times("a:1")
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "engine at a:1: nobody there"
    ]
    network.down.clear()
    await trio.sleep(1)
    assert list(network.open) == ["a:1"]


async def test_pauses_differ_so_that_engines_are_not_dialled_all_at_once(nursery, autojump_clock):
    network, drawn = Network(), iter([0.0, 0.5, 1.0] * 9)
    network.down = {"a:1"}
    service = Discoveries(
        {"static": StaticDiscovery(engines=("a:1",))},
        dial=network.dial,
        converse=network.converse,
        longest_pause=0.2,
        draw=lambda: next(drawn),
    )
    await nursery.start(service.run)
    await trio.sleep(0.5)
    assert network.times("a:1") == pytest.approx([0, 0.1, 0.25, 0.45])


async def test_a_stream_that_was_good_is_opened_again_almost_at_once(
    open_discoveries, autojump_clock
):
    network = Network()
    network.down = {"a:1"}
    await open_discoveries({"static": StaticDiscovery(engines=("a:1",))}, network)
    await trio.sleep(60)
    network.down.clear()
    await trio.sleep(10)
    before = len(network.dialled)
    network.open["a:1"].cancel()
    await trio.sleep(0.2)
    assert list(network.open) == ["a:1"]
    assert len(network.dialled) == before + 1


async def test_what_is_not_found_any_more_keeps_its_stream_and_is_dropped_when_that_ends(
    open_discoveries, autojump_clock
):
    network, told = Network(), Told()
    service = await open_discoveries({"told": told}, network)
    told.found(["a:1", "b:1"])
    await trio.sleep(5)
    told.found(["b:1"])
    await trio.sleep(60)
    assert sorted(network.open) == ["a:1", "b:1"]
    network.open["a:1"].cancel()
    network.open["b:1"].cancel()
    await trio.sleep(60)
    assert list(network.open) == ["b:1"]
    assert service.statistics().dialled == 1
    told.found(["a:1", "b:1"])
    await trio.sleep(1)
    assert sorted(network.open) == ["a:1", "b:1"]


async def test_an_engine_that_was_lost_and_found_while_it_was_waited_for_is_dialled_once(
    open_discoveries, autojump_clock
):
    network, told = Network(), Told()
    network.down = {"a:1"}
    await open_discoveries({"told": told}, network)
    told.found(["a:1"])
    await trio.sleep(60)
    told.found([])
    told.found(["a:1"])
    network.down.clear()
    await trio.sleep(60)
    assert list(network.open) == ["a:1"]


async def test_what_is_no_address_stays_alone_with_its_trouble(open_discoveries, autojump_clock):
    network, told = Network(), Told()
    await open_discoveries({"told": told}, network)
    told.found(["no address", "b:1"])
    await trio.sleep(60)
    assert list(network.open) == ["b:1"]


async def test_an_address_is_told_to_whoever_takes_registrations(open_discoveries, autojump_clock):
    network = Network()
    both = {"static": StaticDiscovery(), "register": RegisterDiscovery()}
    service = await open_discoveries(both, network)
    service.register("a:1")
    await trio.sleep(1)
    assert list(network.open) == ["a:1"]
    service = await open_discoveries({"static": StaticDiscovery()}, network)
    with pytest.raises(ConfigError, match="cannot be registered here; discoveries: static"):
        service.register("a:1")


async def test_no_more_than_some_streams_are_opened_at_once(open_discoveries, autojump_clock):
    opening, most = 0, 0

    class Slow(Network):
        @asynccontextmanager
        async def dial(self, address, *, trusted):
            nonlocal opening, most
            opening += 1
            most = max(most, opening)
            await trio.sleep(1)
            opening -= 1
            yield address

    network, told = Slow(), Told()
    await open_discoveries({"told": told}, network)
    told.found([f"{number}:1" for number in range(250)])
    await trio.sleep(1.5)
    assert most == len(network.open) == MAX_OPENING
    await trio.sleep(2)
    assert len(network.open) == 250


async def test_large_lists_that_change_again_and_again_leave_nothing_behind(
    open_discoveries, autojump_clock
):
    network, told = Network(), Told()
    service = await open_discoveries({"told": told}, network)
    for look in range(10):
        network.down = {f"10.0.{look}.{n}:1" for n in range(250)}
        told.found(sorted(network.down))
        await trio.sleep(30)
    assert (service.statistics().found, service.statistics().dialled) == (250, 250)
    network.down = set()
    told.found(["a:1"])
    await trio.sleep(30)
    assert (service.statistics().dialled, set(network.open)) == (1, {"a:1"})


async def test_an_address_that_was_only_registered_is_not_trusted(open_discoveries, autojump_clock):
    network = Network()
    sources = {
        "static": StaticDiscovery(engines=("ours:1", "both:1")),
        "register": RegisterDiscovery(),
    }
    service = await open_discoveries(sources, network)
    for address in ("both:1", "told:1"):
        service.register(address)
    await trio.sleep(60)
    assert sorted(network.open) == ["both:1", "ours:1", "told:1"]
    assert network.shown == {"ours:1", "both:1"}

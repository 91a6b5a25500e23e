"""The built-in ways to find engines, each asked as the port says, and on its own terms."""

import socket

import pytest
import trio
import trio.testing

from dagrun.builtin import discovery as builtin
from dagrun.builtin.discovery import DnsDiscovery, RegisterDiscovery, StaticDiscovery
from dagrun.errors import ConfigError
from dagrun.plugin.loading import load_plugins
from dagrun.ports.discovery import Registering
from dagrun.testing.discoveries import DiscoverySuite, Heard


class Resolver:
    """Answers as a name server does; hosts in one family, or trouble."""

    def __init__(self, *hosts, trouble=None, slow=0.0):
        self.hosts, self.trouble, self.slow, self.asked = hosts, trouble, slow, []

    async def __call__(self, host, port, *, type):  # noqa: A002 — as getaddrinfo
        self.asked.append((trio.current_time(), host))
        await trio.sleep(self.slow)
        if self.trouble:
            raise self.trouble
        return [
            (socket.AF_INET6, type, 6, "", (host, port, 0, 0))
            if ":" in host
            else (socket.AF_INET, type, 6, "", (host, port))
            for host in self.hosts
        ]


class TestStatic(DiscoverySuite):
    def make_discovery(self):
        return StaticDiscovery(engines=("a.test:1", "[::1]:2"))

    async def make_found(self, discovery):
        return ("a.test:1", "[::1]:2")


class TestRegister(DiscoverySuite):
    def make_discovery(self):
        return RegisterDiscovery()

    async def make_found(self, discovery):
        discovery.register("a.test:1")
        discovery.register("b.test:1")
        discovery.register("a.test:1")
        return ("a.test:1", "b.test:1")


class TestDns(DiscoverySuite):
    def make_discovery(self):
        resolve = Resolver("10.0.0.1", "10.0.0.1", "fd00::1")
        return DnsDiscovery(service="engines", resolve=resolve)

    async def make_found(self, discovery):
        return ("10.0.0.1:50051", "[fd00::1]:50051")


def test_all_of_them_are_on_their_shelf_and_only_one_can_be_told():
    shelf = load_plugins().registry.discoveries
    assert {"static", "register", "dns"} <= {entry.name for entry in shelf}
    assert isinstance(RegisterDiscovery(), Registering)
    assert not isinstance(StaticDiscovery(), Registering)


async def test_a_registration_ends_three_intervals_after_it_was_last_said(nursery, autojump_clock):
    discovery, heard = RegisterDiscovery(interval=10), Heard()
    await nursery.start(discovery.run, heard)
    discovery.register("a:1")
    await trio.sleep(20)
    discovery.register("a:1")
    discovery.register("b:1")
    await trio.sleep(29)
    assert set(heard.lists[-1]) == {"a:1", "b:1"}
    discovery.register("b:1")
    await trio.sleep(2)
    assert heard.lists[-1] == ["b:1"]
    await trio.sleep(27)
    assert heard.lists[-1] == ["b:1"]
    await heard.until(lambda found: not found)
    assert trio.current_time() == pytest.approx(20 + 29 + 30)


async def test_only_so_many_engines_may_be_registered(monkeypatch):
    monkeypatch.setattr(builtin, "MOST", 2)
    discovery = RegisterDiscovery()
    for address in ("a:1", "b:1", "a:1"):
        discovery.register(address)
    with pytest.raises(ConfigError, match="2 engines are registered already"):
        discovery.register("c:1")


async def test_a_name_is_looked_up_once_each_interval_however_long_it_takes(
    nursery, autojump_clock
):
    resolve = Resolver("10.0.0.1", slow=3)
    discovery = DnsDiscovery(service="engines:7", interval=10, resolve=resolve)
    heard = Heard()
    await nursery.start(discovery.run, heard)
    await trio.sleep(25)
    assert resolve.asked == [(0, "engines"), (10, "engines"), (20, "engines")]
    assert heard.lists == [["10.0.0.1:7"]] * 3


@pytest.mark.parametrize(
    ("trouble", "slow"), [(socket.gaierror(-2, "unknown name"), 0), (None, 11), (OSError(), 0)]
)
async def test_while_no_name_server_answers_the_last_list_holds_and_one_line_says_why(
    nursery, autojump_clock, caplog, trouble, slow
):
    resolve = Resolver("10.0.0.1")
    heard = Heard()
    await nursery.start(DnsDiscovery(service="engines", interval=10, resolve=resolve).run, heard)
    await trio.sleep(5)
    resolve.trouble, resolve.slow = trouble, slow
    await trio.sleep(30)
    assert heard.lists == [["10.0.0.1:50051"]]
    assert [
        record.message.startswith("engines is not resolved: ") for record in caplog.records
    ] == [True]
    resolve.trouble, resolve.slow, resolve.hosts = None, 0, ("10.0.0.2",)
    await trio.sleep(10)
    assert heard.lists == [["10.0.0.1:50051"], ["10.0.0.2:50051"]]


async def test_the_machine_itself_is_found_by_its_name():
    heard = Heard()
    async with trio.open_nursery() as nursery:
        await nursery.start(DnsDiscovery(service="localhost:7").run, heard)
        await heard.until(bool)
        nursery.cancel_scope.cancel()
    assert set(heard.lists[0]) <= {"127.0.0.1:7", "[::1]:7"}

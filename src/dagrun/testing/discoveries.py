# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every discovery must do, as tests to inherit."""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from dagrun.ports.discovery import Discovery

ADDRESS = re.compile(r"(\[[^\]]+\]|[^\s:\[\]]+):[0-9]{1,5}")
SOON = 20.0  # seconds; much more than anything that is at hand takes


@attrs.define
class Heard:
    """All lists that a discovery gave."""

    lists: list[Sequence[str]] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)
    returned: bool = False
    """Whether the discovery went home by itself."""

    def __call__(self, addresses: Sequence[str]) -> None:
        """Hear a list."""
        self.lists.append(list(addresses))
        self.news.set()

    async def until(self, fits: Callable[[set[str]], bool]) -> None:
        """Wait for a list that is as it should be."""
        with trio.fail_after(SOON):
            while not self.lists or not fits(set(self.lists[-1])):
                self.news = trio.Event()
                await self.news.wait()


class DiscoverySuite(ABC):
    """Inherit it, and say how a discovery is made, and how it comes to find something."""

    @abstractmethod
    def make_discovery(self) -> Discovery:
        """Make a discovery."""

    @abstractmethod
    async def make_found(self, discovery: Discovery) -> Sequence[str]:
        """Let there be two engines or more, and give their addresses."""

    @asynccontextmanager
    async def running(self, discovery: Discovery) -> AsyncIterator[Heard]:
        heard = Heard()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await discovery.run(heard, task_status=task_status)
            heard.returned = True

        async with trio.open_nursery() as nursery:
            with trio.fail_after(SOON):
                await nursery.start(run)
            yield heard
            nursery.cancel_scope.cancel()

    async def test_all_engines_are_on_one_list(self) -> None:
        discovery = self.make_discovery()
        addresses = await self.make_found(discovery)
        assert len(set(addresses)) > 1
        async with self.running(discovery) as heard:
            await heard.until(lambda found: found == set(addresses))

    async def test_an_engine_is_on_a_list_once_and_as_host_and_port(self) -> None:
        discovery = self.make_discovery()
        addresses = await self.make_found(discovery)
        async with self.running(discovery) as heard:
            await heard.until(lambda found: found == set(addresses))
        for found in heard.lists:
            assert len(set(found)) == len(found)
            assert all(ADDRESS.fullmatch(address) for address in found)

    async def test_it_runs_until_it_is_cancelled_says_nothing_then_and_may_run_again(self) -> None:
        discovery = self.make_discovery()
        addresses = await self.make_found(discovery)
        for _ in range(2):
            async with self.running(discovery) as heard:
                await heard.until(lambda found: found == set(addresses))
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert not heard.returned
            count = len(heard.lists)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(heard.lists) == count

"""What a monkey does to a troop."""

import random
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from dagrun.testing.monkey.troop import Troop

SHORTEST, LONGEST = 1.0, 3.0  # seconds from one deed to the next


class Monkey:
    """Does harm every one to three seconds, and undoes it a little later.

    Args:
        troop: the processes.
        seed: of what it does.
    """

    def __init__(self, troop: Troop, *, seed: int) -> None:
        self._troop = troop
        self._draw = random.Random(seed)  # noqa: S311 — to be repeated
        self.deeds: list[str] = []
        """What it has done."""

    async def rage(self, seconds: float) -> None:
        """Do harm for some time. When this returns, all of it is undone, or about to be."""
        async with trio.open_nursery() as nursery:
            end = trio.current_time() + seconds
            while trio.current_time() < end:
                await trio.sleep(self._draw.uniform(SHORTEST, LONGEST))
                deed, name = self._choose()
                self.deeds.append(f"{deed.__name__} {name}")
                nursery.start_soon(deed, name)

    def _choose(self) -> tuple[Callable[[str], Awaitable[None]], str]:
        engine = self._draw.choice([name for name in self._troop.members if name != ORCHESTRATOR])
        if self._troop.proxies:
            return self._draw.choice([self._cut, self._stall, self._delay, self._nip]), engine
        who = self._draw.choice([engine, engine, ORCHESTRATOR])
        return self._draw.choice([self._kill, self._freeze]), who

    async def _kill(self, name: str) -> None:
        await self._troop.kill(name)
        await trio.sleep(self._draw.uniform(0.2, 2.0))
        await self._troop.start(name)

    async def _freeze(self, name: str) -> None:
        self._troop.freeze(name, on=True)
        await trio.sleep(self._draw.uniform(0.5, 5.0))
        self._troop.freeze(name, on=False)

    async def _cut(self, name: str) -> None:
        self._troop.proxies[name].cut()

    async def _nip(self, name: str) -> None:
        """Cut in the middle of whatever comes next."""
        self._troop.proxies[name].left = self._draw.randint(1, 2000)
        await trio.sleep(self._draw.uniform(0.5, 2.0))
        self._troop.proxies[name].left = None

    async def _stall(self, name: str) -> None:
        self._troop.proxies[name].stall()
        await trio.sleep(self._draw.uniform(0.5, 6.0))
        self._troop.proxies[name].resume()

    async def _delay(self, name: str) -> None:
        self._troop.proxies[name].latency = 0.5
        await trio.sleep(self._draw.uniform(1.0, 4.0))
        self._troop.proxies[name].latency = 0.0


ORCHESTRATOR: Final = "orchestrator"

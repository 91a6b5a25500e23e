"""What a monkey does to a troop."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import trio

from dagrun.testing.monkey.troop import ORCHESTRATOR, Troop

SHORTEST, LONGEST = 1.0, 3.0  # seconds from one deed to the next

TO_PROCESSES: Final = {"kill": (0.2, 2.0), "freeze": (0.5, 5.0)}
"""What is done to a process → the least and the most seconds until it is undone."""

TO_THE_NETWORK: Final = {
    "cut": (0.0, 0.0),
    "nip": (0.5, 2.0),
    "stall": (0.5, 6.0),
    "delay": (1.0, 4.0),
}
"""The same of what is done to the connections of an engine."""


@attrs.frozen(kw_only=True)
class Deed:
    """Harm that is done, and undone a little later."""

    at: float
    """Seconds from the beginning."""

    what: str
    whom: str
    lasts: float
    """Seconds."""

    @property
    def kind(self) -> str:
        """What is done to what."""
        return f"{self.what} {'orchestrator' if self.whom == ORCHESTRATOR else 'engine'}"


def plan(seconds: float, *, seed: int, engines: Sequence[str], proxies: bool) -> Sequence[Deed]:
    """Give what a monkey does, in order: harm to processes, and with proxies to the network, too.

    Args:
        seconds: for how long it does harm; to each of the two every one to three seconds.
        seed: of all that is drawn.
        engines: their names.
        proxies: whether there are proxies.
    """
    draw = random.Random(seed)  # noqa: S311 — to be repeated
    processes = [*engines, *engines, ORCHESTRATOR]
    deeds = _plan(seconds, draw, TO_PROCESSES, processes)
    if proxies:
        deeds += _plan(seconds, draw, TO_THE_NETWORK, engines)
    return sorted(deeds, key=lambda deed: deed.at)


def _plan(
    seconds: float,
    draw: random.Random,
    kinds: dict[str, tuple[float, float]],
    victims: Sequence[str],
) -> list[Deed]:
    deeds: list[Deed] = []
    at = draw.uniform(SHORTEST, LONGEST)
    while at < seconds:
        what = draw.choice(list(kinds))
        lasts = draw.uniform(*kinds[what])
        deeds.append(Deed(at=at, what=what, whom=draw.choice(victims), lasts=lasts))
        at += draw.uniform(SHORTEST, LONGEST)
    return deeds


class Monkey:
    """Does harm to a troop.

    Args:
        troop: the processes.
        seed: of what it does.
    """

    def __init__(self, troop: Troop, *, seed: int) -> None:
        self._troop = troop
        self._seed = seed
        self._do: dict[str, Callable[[Deed], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "cut": self._cut,
            "nip": self._nip,
            "stall": self._stall,
            "delay": self._delay,
        }

    async def rage(self, seconds: float) -> Sequence[Deed]:
        """Do harm for some time, see :func:`plan`. Give what was done, when all of it is undone."""
        deeds = plan(
            seconds,
            seed=self._seed,
            engines=[name for name in self._troop.members if name != ORCHESTRATOR],
            proxies=bool(self._troop.proxies),
        )
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for deed in deeds:
                await trio.sleep_until(begin + deed.at)
                nursery.start_soon(self._do[deed.what], deed)
        return deeds

    async def _kill(self, deed: Deed) -> None:
        await self._troop.kill(deed.whom)
        await trio.sleep(deed.lasts)
        await self._troop.start(deed.whom)

    async def _freeze(self, deed: Deed) -> None:
        self._troop.freeze(deed.whom, on=True)
        await trio.sleep(deed.lasts)
        self._troop.freeze(deed.whom, on=False)

    async def _cut(self, deed: Deed) -> None:
        self._troop.proxies[deed.whom].cut()

    async def _nip(self, deed: Deed) -> None:
        """Cut in the middle of whatever comes next."""
        proxy = self._troop.proxies[deed.whom]
        proxy.left = int(1000 * deed.lasts)
        await trio.sleep(deed.lasts)
        proxy.left = None

    async def _stall(self, deed: Deed) -> None:
        self._troop.proxies[deed.whom].stall()
        await trio.sleep(deed.lasts)
        self._troop.proxies[deed.whom].resume()

    async def _delay(self, deed: Deed) -> None:
        self._troop.proxies[deed.whom].latency = 0.5
        await trio.sleep(deed.lasts)
        self._troop.proxies[deed.whom].latency = 0.0

"""Executors are opened once, by a task that also closes them."""

import pytest
import trio

from dagrun.errors import UnknownPlugin
from dagrun.services.executors import Opened


class Entered:
    """An executor that holds a nursery, and counts."""

    entered = left = 0

    async def __aenter__(self):
        type(self).entered += 1
        self._manager = trio.open_nursery()
        await self._manager.__aenter__()
        await trio.sleep(1)
        return self

    async def __aexit__(self, *exc):
        type(self).left += 1
        return await self._manager.__aexit__(*exc)

    async def execute(self, context):
        return {}


class Plain:
    async def execute(self, context):
        return {}


class Broken(Entered):
    async def __aenter__(self):
        raise OSError("no such thing")


def factory(name):
    try:
        return {"opened": Entered, "plain": Plain, "broken": Broken}[name]
    except KeyError:
        raise UnknownPlugin("executor", name, ["opened"]) from None


async def test_an_executor_is_opened_once_whoever_asks_and_closed_at_the_end(autojump_clock):
    Entered.entered = Entered.left = 0
    async with trio.open_nursery() as nursery:
        executors = await nursery.start(Opened(factory).run)
        async with trio.open_nursery() as askers:
            for _ in range(5):
                askers.start_soon(executors.open, ["opened", "plain"])
        assert set(executors.opened) == {"opened", "plain"}
        assert (Entered.entered, Entered.left) == (1, 0)
        nursery.cancel_scope.cancel()
    assert Entered.left == 1


async def test_what_opening_raises_reaches_who_asked_and_nobody_else(autojump_clock):
    async with trio.open_nursery() as nursery:
        executors = await nursery.start(Opened(factory).run)
        with pytest.raises(OSError, match="no such thing"):
            await executors.open(["broken"])
        with pytest.raises(UnknownPlugin):
            await executors.open(["missing"])
        await executors.open(["plain"])
        assert set(executors.opened) == {"plain"}
        nursery.cancel_scope.cancel()


async def test_an_asker_who_gives_up_does_not_keep_others_from_opening_it(nursery, autojump_clock):
    executors = Opened(factory)
    with trio.move_on_after(0):
        await executors.open(["plain"])
    await nursery.start(executors.run)
    with trio.fail_after(5):
        await executors.open(["plain"])
    assert set(executors.opened) == {"plain"}

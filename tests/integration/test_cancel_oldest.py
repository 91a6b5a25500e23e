"""``on_limit: cancel_oldest``: as many runs as there are slots stay, and they are the newest."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.workflow import Concurrency
from dagrun.testing.gated import gated, limited, rig

WHERE = ["aaa", "aba", "abb", "bab", "bba"]
"""Which of two processes the first, the second and the third run are submitted to."""


def newest(limit=1):
    return limited("cancel_oldest", limit=limit, key="k")


async def reason(store, ticket):
    (why,) = [
        event.data["reason"]
        for event in await store.events(ticket.run_id)
        if event.type == "run.cancelling"
    ]
    return why.removeprefix("for run ")


@asynccontextmanager
async def processes(tmp_path):
    """Open one data directory twice, with one database."""
    async with AsyncExitStack() as stack:
        stores = [SqliteStore(path=tmp_path / "data" / "dagrun.db") for _ in "ab"]
        (tmp_path / "data").mkdir()
        yield {
            name: await stack.enter_async_context(rig(tmp_path / "data", store=store))
            for name, store in zip("ab", stores, strict=True)
        }


def began(rigs):
    return sorted(name for r in set(rigs) for name in r.gates.began)


async def until(condition):
    """Look until something is so that another process does."""
    while not condition():  # noqa: ASYNC110 — nobody tells of it
        await trio.sleep(0.01)


async def test_the_oldest_run_is_cancelled_for_a_new_one(tmp_path):
    async with rig(tmp_path / "data") as r:
        first = await r.submit(limited("cancel_oldest"), "x")
        second = await r.submit(limited("cancel_oldest"), "x")
        await first.wait()
        assert first.state.status == "cancelled"
        (asked,) = [
            event.data["reason"]
            for event in await r.local.store.events(first.run_id)
            if event.type == "run.cancelling"
        ]
        assert asked == f"for run {second.run_id}"
        r.gates.open("x")
        await second.wait()
        assert r.gates.began == ["x", "x"]
        assert second.state.status == "succeeded"


async def test_a_full_engine_does_not_keep_the_oldest_run_from_being_cancelled(tmp_path):
    newest = Concurrency(key="k", limit=1, on_limit="cancel_oldest")
    async with rig(tmp_path / "data", capacity=1) as r:
        oldest = await r.submit(gated(concurrency=newest), "a")
        new = await r.submit(gated(concurrency=newest), "b")
        await r.ended(oldest)
        r.gates.open("b")
        await r.ended(new)
        assert (oldest.state.status, new.state.status) == ("cancelled", "succeeded")


@pytest.mark.parametrize("where", WHERE)
async def test_the_middle_one_of_three_runs_is_cancelled_while_it_waits(tmp_path, where):
    async with processes(tmp_path) as process:
        rigs = [process[name] for name in where]
        rigs[0].gates.stubborn.add("1")
        one = await rigs[0].submit(newest(), "1")
        await until(lambda: rigs[0].gates.began == ["1"])
        two = await rigs[1].submit(newest(), "2")
        three = await rigs[2].submit(newest(), "3")
        assert await rigs[1].ended(two) == ["cancelled"]
        assert not one.gone
        assert "a slot of 'limited/k'" in rigs[2].explain(three)
        rigs[0].gates.open("1")
        rigs[2].gates.open("3")
        assert await rigs[0].ended(one, three) == ["cancelled", "succeeded"]
        assert began(rigs) == ["1", "3"]
        store = rigs[0].local.store
        assert await reason(store, one) in (two.run_id, three.run_id)
        assert await reason(store, two) == three.run_id


@pytest.mark.parametrize("where", ["aaaaa", "ababa", "aabbb", "abbab"])
async def test_with_two_slots_the_two_newest_runs_stay(tmp_path, where):
    async with processes(tmp_path) as process:
        rigs, runs = [process[name] for name in where], []
        for number, r in enumerate(rigs):
            r.gates.stubborn |= {"0", "1"}
            runs.append(await r.submit(newest(limit=2), str(number)))
            await until(lambda r=r, n=number: n > 1 or str(n) in r.gates.began)
        assert await rigs[2].ended(runs[2]) == ["cancelled"]
        assert not any(runs[number].gone for number in (0, 1, 3, 4))
        for r in set(rigs):
            r.gates.open("0", "1")
        await until(lambda: "3" in rigs[3].gates.began and "4" in rigs[4].gates.began)
        assert await rigs[0].ended(*runs[:3]) == ["cancelled"] * 3
        for r in set(rigs):
            r.gates.open("3", "4")
        assert await rigs[3].ended(*runs[3:]) == ["succeeded"] * 2
        assert began(rigs) == ["0", "1", "3", "4"]


class Deaf(MemoryStore):
    """Does not answer when some runs ask for their slot."""

    def __init__(self):
        super().__init__()
        self.runs, self.asked, self.answer = set(), trio.Event(), trio.Event()

    async def admit(self, run_id, slot):
        if run_id in self.runs:
            self.asked.set()
            await self.answer.wait()
        return await super().admit(run_id, slot)


@pytest.mark.parametrize("where", WHERE)
async def test_a_run_that_a_newer_one_has_overtaken_gives_way(tmp_path, where):
    store = Deaf()
    async with (
        rig(tmp_path / "data", store=store) as a,
        rig(tmp_path / "data", store=store) as b,
    ):
        rigs = [{"a": a, "b": b}[name] for name in where]
        rigs[0].gates.stubborn.add("1")
        one = await rigs[0].submit(newest(), "1")
        two = await rigs[1].submit(newest(), "2")
        store.runs.add(two.run_id)
        await store.asked.wait()  # it looks again
        rigs[0].gates.open("1")
        assert await rigs[0].ended(one) == ["cancelled"]
        three = await rigs[2].submit(newest(), "3")
        assert rigs[2].gates.began[-1] == "3"
        store.answer.set()
        assert await rigs[1].ended(two) == ["cancelled"]
        rigs[2].gates.open("3")
        assert await rigs[2].ended(three) == ["succeeded"]
        assert await reason(store, two) == three.run_id


class Mute(MemoryStore):
    """Does not say who else there is until it speaks."""

    def __init__(self):
        super().__init__()
        self.speaks = trio.Event()

    async def rivals(self, run_id, key):
        await self.speaks.wait()
        return await super().rivals(run_id, key)


async def test_a_run_that_goes_on_after_its_process_ended_still_cancels_the_oldest(tmp_path):
    store = Mute()
    async with rig(tmp_path / "data", store=store) as r:
        one = await r.submit(newest(), "1")
        async with rig(tmp_path / "data", store=store) as other:
            two = await other.submit(newest(), "2")
        store.speaks.set()
        again = await r.local.go_on(two.run_id)
        assert await r.ended(one) == ["cancelled"]
        r.gates.open("2")
        assert await r.ended(again) == ["succeeded"]


async def test_runs_of_another_workflow_that_wait_behind_do_not_count(tmp_path):
    key = {"key": "k", "scope": "global"}
    polite = gated("polite", concurrency=Concurrency(**key))
    rude = gated("rude", concurrency=Concurrency(**key, on_limit="cancel_oldest"))
    async with rig(tmp_path / "data") as r:
        r.gates.stubborn.add("1")
        one = await r.submit(polite, "1")
        two = await r.submit(rude, "2")
        three = await r.submit(polite, "3")
        r.gates.open("1", "2", "3")
        assert await r.ended(one, two, three) == ["cancelled", "succeeded", "succeeded"]

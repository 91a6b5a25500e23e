"""Submissions: those that are one run, and those that cannot be stored."""

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite import SqliteStore
from dagrun.errors import ConfigError, ConflictError, InputError
from dagrun.testing.gated import gated, rig


async def test_submissions_with_one_key_are_one_run(tmp_path):
    async with rig(tmp_path / "data") as r:
        found = set()

        async def submit():
            found.add((await r.submit(gated(), "a", idempotency_key="k")).run_id)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(submit)
        assert len(found) == 1
        assert len((await r.local.store.runs())[0]) == 1
        with pytest.raises(ConflictError, match="'k' was used for another submission"):
            await r.submit(gated(), "b", idempotency_key="k")


async def test_a_run_of_an_earlier_life_is_found_by_its_key_and_goes_on(tmp_path):
    async with rig(tmp_path / "data", store=MemoryStore()) as r:
        store = r.local.store
        first = await r.submit(gated(nodes=2), "a", idempotency_key="k")
    async with rig(tmp_path / "data", store=store) as r:
        r.gates.open("a")
        again = await r.submit(gated(nodes=2), "a", idempotency_key="k")
        assert again.run_id == first.run_id
        assert (await r.local.result(again)).status == "succeeded"
        ended = await r.submit(gated(nodes=2), "a", idempotency_key="k")
        assert (await r.local.result(ended)).run_id == first.run_id


async def test_a_run_goes_on_here_when_the_process_that_had_it_ends(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path / "data", store=store) as r:
        async with rig(tmp_path / "data", store=store) as other:
            first = await other.submit(gated(), "a", idempotency_key="k")
            again = await r.submit(gated(), "a", idempotency_key="k")
        r.gates.open("a")
        assert again.run_id == first.run_id
        assert (await r.local.result(again)).status == "succeeded"


async def test_many_submissions_with_one_key_after_a_crash_are_one_run(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path / "data", store=store) as r:
        first = await r.submit(gated(), "a", idempotency_key="k")
    async with rig(tmp_path / "data", store=store) as r:
        r.gates.open("a")
        results = []

        async def submit():
            ticket = await r.submit(gated(), "a", idempotency_key="k")
            results.append(await r.local.result(ticket))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(submit)
        assert {(res.run_id, res.status) for res in results} == {(first.run_id, "succeeded")}
        assert r.gates.began == ["a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"idempotency_key": ""}, "a UTF-8 text, not empty"),
        ({"idempotency_key": "\ud800"}, "at most 512 characters"),
        ({"idempotency_key": "x" * 513}, "at most 512 characters"),
        ({"idempotency_key": 7}, "at most 512 characters"),
        ({"idempotency_key": "a\0b"}, "without NUL"),
        ({"priority": 1.5}, "a whole number from -1000000 to 1000000"),
        ({"priority": True}, "a whole number"),
        ({"priority": 10**30}, "a whole number"),
        ({"priority": -1_000_001}, "a whole number"),
    ],
)
async def test_what_cannot_be_stored_is_refused_and_other_runs_go_on(tmp_path, options, message):
    store = SqliteStore(path=tmp_path / "data" / "dagrun.db")
    async with rig(tmp_path / "data", store=store) as r:
        other = await r.submit(gated(), "other", idempotency_key="x" * 512, priority=1_000_000)
        with pytest.raises(InputError, match=message):
            await r.submit(gated(), "a", **options)
        r.gates.open("other")
        assert (await r.local.result(other)).status == "succeeded"
        assert len((await store.runs())[0]) == 1


async def test_a_folder_whose_name_is_no_text_is_refused_and_other_runs_go_on(tmp_path):
    store = SqliteStore(path=tmp_path / "data" / "dagrun.db")
    async with rig(tmp_path / "data", store=store) as r:
        other = await r.submit(gated(), "other", base=tmp_path / "ä")
        with pytest.raises(ConfigError, match=r"folder '.*udcff' is not UTF-8"):
            await r.submit(gated(), "a", base=tmp_path / "\udcff")
        r.gates.open("other")
        assert (await r.local.result(other)).status == "succeeded"

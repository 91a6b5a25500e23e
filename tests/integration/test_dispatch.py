"""Which run goes first, where it goes, and what is done about runs that wait for too long."""

from pathlib import Path

import pytest
import trio

from dagrun.domain.workflow import Placement
from dagrun.errors import ConflictError
from dagrun.ports.balancer import Candidate, Candidates
from dagrun.roles.local import Submission
from dagrun.services.dispatcher.balancing import Balancers
from dagrun.testing.gated import LIMIT, gated, rig

HOURS = 10_000.0  # seconds of the virtual clock


async def test_an_engine_has_no_more_runs_than_its_capacity(tmp_path):
    async with rig(tmp_path / "data", capacity=2) as r:
        tickets = [await r.submit(gated(), name) for name in "abc"]
        assert r.gates.began == ["a", "b"]
        assert r.queued() == 1
        await r.finish("a")
        assert r.gates.began == ["a", "b", "c"]
        await r.finish("b", "c")
        assert [ticket.state.status for ticket in tickets] == ["succeeded"] * 3


async def test_the_run_with_the_highest_priority_goes_first(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        await r.submit(gated(), "first")
        await r.submit(gated(), "low", priority=-1)
        await r.submit(gated(priority=7), "high")
        await r.submit(gated(), "middle")
        for name in ("first", "high", "middle", "low"):
            await r.finish(name)
        assert r.gates.began == ["first", "high", "middle", "low"]


async def test_the_workflow_with_the_fewest_running_runs_goes_first(tmp_path):
    async with rig(tmp_path / "data", capacity=2) as r:
        for name in ("a1", "a2", "a3"):
            await r.submit(gated("a"), name)
        await r.submit(gated("b"), "b1")
        await r.finish("a1")
        assert r.gates.began == ["a1", "a2", "b1"]


async def test_runs_spread_over_the_engines_in_turn(tmp_path):
    async with rig(tmp_path / "data", engines=3, capacity=2) as r:
        turn = Placement(balancer="round-robin")
        for name in "abcdef":
            await r.submit(gated(placement=turn), name)
        assert [engine.statistics().runs for engine in r.local.engines] == [2, 2, 2]
        await r.submit(gated(placement=turn), "g")
        assert r.queued() == 1


async def test_runs_of_one_placement_key_share_an_engine(tmp_path):
    async with rig(tmp_path / "data", engines=4, capacity=100) as r:
        same = Placement(key="${inputs.name}")
        for _ in range(3):
            await r.submit(gated(placement=same), "x")
            await r.finish("x")
        engines = {
            event.data["engine"]
            for run in (await r.local.store.runs())[0]
            for event in await r.local.store.events(run.run_id)
            if event.type == "run.running"
        }
        assert len(engines) == 1


async def test_a_run_that_waits_for_longer_than_its_start_timeout_fails(tmp_path, autojump_clock):
    async with rig(tmp_path / "data", limit=HOURS, capacity=1) as r:
        first = await r.submit(gated(), "first")
        late = await r.submit(gated(start_timeout=60), "late")
        patient = await r.submit(gated(start_timeout=3600), "patient")
        start = trio.current_time()
        await late.wait()
        assert trio.current_time() - start == pytest.approx(60)
        assert late.state.error == {
            "type": "start_timeout",
            "message": "the run waited longer than 1m00s for its start",
        }
        assert (late.state.status, late.state.started_at) == ("failed", None)
        r.gates.open("first", "patient")
        await r.ended(first, patient)
        assert patient.state.status == "succeeded"
        assert "late" not in r.gates.began


async def test_a_start_timeout_ends_with_the_start(tmp_path, autojump_clock):
    async with rig(tmp_path / "data", limit=HOURS, capacity=1) as r:
        ticket = await r.submit(gated(start_timeout=60), "a")
        await trio.sleep(100)
        assert not ticket.gone
        r.gates.open("a")
        await ticket.wait()
        assert ticket.state.status == "succeeded"


async def test_a_pause_ends_the_start_timeout(tmp_path, autojump_clock):
    async with rig(tmp_path / "data", limit=HOURS, capacity=1) as r:
        first = await r.submit(gated(), "first")
        queued = await r.submit(gated(start_timeout=60), "queued")
        await r.local.pause(queued.run_id)
        await r.local.resume(queued.run_id)
        await trio.sleep(100)
        r.gates.open("first", "queued")
        assert await r.ended(first, queued) == ["succeeded"] * 2


async def test_a_run_that_started_does_not_expire_when_it_waits_to_go_on(tmp_path, autojump_clock):
    async with rig(tmp_path / "data", limit=HOURS, capacity=1) as r:
        paused = await r.paused("x", start_timeout=60)
        other = await r.submit(gated(), "other")
        await r.local.resume(paused.run_id)
        await trio.sleep(100)
        r.gates.open("other")
        assert await r.ended(other, paused) == ["succeeded"] * 2


async def test_a_run_that_is_damaged_is_left_and_the_others_go_on(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        broken = await r.paused("broken")
        other = await r.submit(gated(), "other")
        await r.local.resume(broken.run_id)
        last = await r.submit(gated(), "other")
        del r.local.store._events[broken.run_id][1]
        r.gates.open("other")
        await r.ended(other, broken, last)
        assert "is damaged" in broken.abandoned
        with pytest.raises(ConflictError, match="is damaged"):
            await r.local.result(broken)


async def test_a_damaged_run_whose_start_timeout_passes_harms_nobody(tmp_path, autojump_clock):
    async with rig(tmp_path / "data", limit=HOURS, capacity=1) as r:
        first = await r.submit(gated(), "first")
        damaged = await r.submit(gated(start_timeout=5), "damaged")
        r.local.store._events[damaged.run_id].clear()
        await r.ended(damaged)
        assert "is damaged" in damaged.abandoned
        r.gates.open("first")
        assert await r.ended(first) == ["succeeded"]


def errors_of(caplog):
    return [r.getMessage() for r in caplog.records if "balancer" in r.getMessage()]


@pytest.mark.parametrize(
    "wrong", ["nobody", None, ["w"], RuntimeError("no engine is good enough")], ids=str
)
async def test_a_run_whose_balancer_fails_goes_to_the_least_loaded_engine(
    tmp_path, monkeypatch, caplog, wrong
):
    def choose(self, key, candidates):
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    monkeypatch.setattr("dagrun.builtin.balancers.RoundRobin.choose", choose)
    caplog.set_level("WARNING")
    async with rig(tmp_path / "data", engines=3, capacity=1) as r:
        turn = Placement(balancer="round-robin")
        tickets = [await r.submit(gated(placement=turn), name) for name in "abcd"]
        assert [engine.statistics().runs for engine in r.local.engines] == [1, 1, 1]
        assert r.queued() == 1
        await r.finish(*"abcd")
        assert [ticket.state.status for ticket in tickets] == ["succeeded"] * 4
    (told,) = errors_of(caplog)
    assert "balancer round-robin failed" in told
    assert str(wrong) in told


@pytest.mark.parametrize("page", ["architecture.md", "plugins.md"])
def test_the_pages_tell_where_a_run_goes_whose_balancer_fails(page):
    told = " ".join((Path(__file__).parents[2] / "docs" / page).read_text().split())
    assert (
        "raises, or chooses what is no candidate, that is logged once, and the run goes to the "
        "least loaded candidate."
    ) in told


async def test_a_balancer_that_cannot_hear_of_engines_stops_none(tmp_path, monkeypatch, caplog):
    def refuse(self, engine_id):
        raise RuntimeError("not this one")

    for news in ("joined", "left"):
        monkeypatch.setattr(f"dagrun.builtin.balancers.RoundRobin.{news}", refuse)
    async with rig(tmp_path / "data", engines=2) as r:
        await r.submit(gated(placement=Placement(balancer="round-robin")), "a")
        for engine in r.local.engines:
            r.local.dispatcher.remove_engine(engine)
            r.local.dispatcher.add_engine(engine)
        await r.finish("a")
    assert "not this one" in errors_of(caplog)[0]


def test_a_balancer_that_is_installed_no_more_costs_no_run_its_place():
    def make(name):
        raise LookupError(f"{name} is not installed")

    candidates = Candidates([Candidate(engine_id="e", capacity=1, active=0)])
    assert Balancers(make).choose("gone", "key", candidates) == "e"


async def test_those_who_wait_for_a_run_hear_that_the_program_closes(tmp_path):
    errors = []

    async def wait(local, ticket):
        with pytest.raises(ConflictError, match="closed") as caught:
            await local.result(ticket)
        errors.append(caught)

    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery, rig(tmp_path / "data") as r:
            nursery.start_soon(wait, r.local, await r.submit(gated(), "a"))
            await trio.testing.wait_all_tasks_blocked()
    assert len(errors) == 1
    with pytest.raises(ConflictError, match="closed"):
        await r.local.submit(Submission(workflow=gated(), inputs={"name": "late"}))

"""Without any one of its rules, dagrun fails under the faults that the rule is for."""

import random

import attrs
import pytest
import trio

from dagrun.builtin import intake
from dagrun.builtin.memory_store import tables
from dagrun.services.fleet import fleet, reconciler, remote, returns, session
from dagrun.services.journal import Journal
from dagrun.services.journal.entries import Handing
from dagrun.testing.simulation import Fault, FaultKind, Script, simulate
from dagrun.testing.simulation.faults import Ask
from dagrun.testing.simulation.scripts import random_script
from dagrun.testing.simulation.workload import number_of

HISTORIES = 1000
LONG = number_of("long")


def short_absence(seed):
    """Let an orchestrator be away for less than a lease while two engines have long runs."""
    draw = random.Random(seed)
    absence = Fault(draw.uniform(1, 4), FaultKind.KILL, -1, draw.uniform(0, 1))
    return Script(seed=seed, runs=(Ask(0.0, LONG), Ask(0.1, LONG)), faults=(absence,))


def _without_the_epoch_check(monkeypatch):
    """Believe whoever has, or once had, a run."""
    choose = intake.choose

    def take_any(events, positions, stored_epoch, *more):
        known = {run_id: epoch for run_id, (epoch, _) in positions.items()}
        same = [attrs.evolve(e, epoch=known.get(e.run_id, e.epoch)) for e in events]
        return choose(same, positions, stored_epoch, *more)

    def keep(self, engine, held):
        assigned = remote.Assigned(held.run_id, held.epoch, trio.current_time())
        return engine.runs.setdefault(held.run_id, assigned)

    def has(self, run_id, _epoch):
        return run_id in self._engine.runs

    monkeypatch.setattr(tables, "choose", take_any)
    monkeypatch.setattr(session.Session, "_has", has)
    monkeypatch.setattr(reconciler.Reconciler, "_assigned", keep)
    monkeypatch.setattr(remote.RemoteEngine, "stop", lambda *_: None)


def _without_the_seq_check(monkeypatch):
    """Take events as they come, whichever are there already, from who has the run."""
    choose = intake.choose

    def take_all(events, positions, *more):
        last = {run_id: seq for run_id, (_, seq) in positions.items()}
        next_ones = []
        for event in events:
            last[event.run_id] = last.get(event.run_id, 0) + 1
            next_ones.append(attrs.evolve(event, seq=last[event.run_id]))
        _, refused = choose(next_ones, positions, *more)
        return [event for event in events if event.run_id not in refused], refused

    monkeypatch.setattr(tables, "choose", take_all)


def _without_the_restart_grace(monkeypatch):
    """Take all runs from their engines as soon as an orchestrator is started."""
    expect = fleet.Fleet.expect

    def expect_nobody(self, engine_id, instance, runs):
        engine = expect(self, engine_id, instance, runs)
        for assigned in engine.runs.values():
            assigned.renewed = -self._leases.length
        return engine

    async def impatient(leases, *, task_status):
        task_status.started()
        while True:
            leases._expire(trio.current_time() - leases.length)
            await trio.sleep(leases.length / 100)  # before anybody can have dialled again

    monkeypatch.setattr(fleet.Fleet, "expect", expect_nobody)
    monkeypatch.setattr(fleet.Leases, "run", impatient)


def _without_the_park_check(monkeypatch):
    """Let a run rest though something was posted that its engine has not seen."""
    refusal = tables.refusal
    monkeypatch.setattr(
        tables,
        "refusal",
        lambda wanted, *args, **kwargs: refusal(attrs.evolve(wanted, seen=None), *args, **kwargs),
    )
    monkeypatch.setattr(returns.Returns, "_tell_kept", lambda *_: None)


def _without_keeping_what_found_no_room(monkeypatch):
    """Forget events of which a commit failed."""
    put_back = Journal._put_back

    def put_back_no_events(journal, entries):
        put_back(journal, [entry for entry in entries if isinstance(entry, Handing)])

    monkeypatch.setattr(Journal, "_put_back", put_back_no_events)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(
    "mutate",
    [
        _without_the_epoch_check,
        _without_the_seq_check,
        _without_the_restart_grace,
        _without_the_park_check,
        _without_keeping_what_found_no_room,
    ],
)
def test_a_missing_rule_is_found_within_a_thousand_histories(mutate, monkeypatch):
    mutate(monkeypatch)
    for seed in range(HISTORIES):
        for script in (random_script(seed), short_absence(seed)):
            if any(" crashed: " not in problem for problem in simulate(script).problems):
                return
    pytest.fail(f"{HISTORIES} histories found nothing")


@pytest.mark.usefixtures("untraced")
def test_with_all_its_rules_dagrun_holds_where_the_missing_grace_is_found():
    for seed in range(60):
        assert simulate(short_absence(seed)).problems == []

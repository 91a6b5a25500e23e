"""The journal: groups, order, and what happens when the disk does not take a commit."""

import contextlib
from datetime import UTC, datetime

import attrs
import pytest
import trio

from dagrun.domain.events import Event, Type
from dagrun.domain.jsonvalue import EMPTY, Raw
from dagrun.errors import ConflictError, StoreBusy, StoreError, StoreFull
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Definition,
    Message,
    MessageKind,
    NewRun,
    Parent,
    Posted,
    Refusal,
    Rejection,
    Taken,
)
from dagrun.services.journal.journal import GATHER, MAX_WAITING, RETRY, Journal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ScriptedStore:
    """Answers commits by a script: an exception, a result, or None for success."""

    def __init__(self, *script, seconds=0.01):
        self.script = list(script)
        self.seconds = seconds
        self.commits = []
        self.taken = []
        self.assigned = []

    async def commit(self, events, *, new_runs, definitions, taken, assignments):
        await trio.sleep(self.seconds)
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, Exception):
            raise answer
        self.commits.append([(event.run_id, event.seq) for event in events])
        self.taken.append([one.number for one in taken])
        self.assigned.append([(one.run_id, one.engine_id) for one in assignments])
        answer = answer or CommitResult()
        taken = [event for event in events if event.run_id not in answer.refused]
        return attrs.evolve(answer, taken=taken, position=1)


def event(seq, run="r", size=0):
    data = {"outputs": Raw(b"x" * size)} if size else None
    return Event(run, seq, 1, Type.NODE_RUNNING, NOW, "a", None, 1, data)


def new_run(run="r"):
    return NewRun(
        run_id=run, workflow_id="w", version="1.0.0", definition_hash="h", inputs=EMPTY,
        owner="o", created_at=NOW,
    )  # fmt: skip


def assignment(engine="e", run="r"):
    return Assignment(run_id=run, epoch=1, engine_id=engine, instance="i")


def message(number):
    return Taken(run_id="r", epoch=1, number=number)


DEFINITION = Definition(hash="h", body=b"{}")


async def test_what_waits_during_a_commit_goes_into_the_next_one(nursery, autojump_clock):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1)])
    await trio.sleep(GATHER + 0.005)
    journal.append([event(2)])
    journal.append([event(3)])
    await journal.wait_durable("r", 3)
    assert store.commits == [[("r", 1)], [("r", 2), ("r", 3)]]
    assert trio.current_time() == pytest.approx(GATHER + 0.02)
    assert journal.durable("r") == 3


async def test_what_nobody_waits_for_is_gathered_for_a_moment(nursery, autojump_clock):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    for seq in (1, 2, 3):
        journal.append([event(seq)])
        await trio.sleep(GATHER / 4)
    await trio.sleep(1)
    assert store.commits == [[("r", 1), ("r", 2), ("r", 3)]]


async def test_what_somebody_elsewhere_waits_for_is_committed_at_once(nursery, autojump_clock):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1)])
    journal.hurry()
    await trio.sleep(GATHER / 2)
    journal.append([event(2)])
    await trio.sleep(1)
    assert store.commits == [[("r", 1)], [("r", 2)]]


async def test_a_group_that_nobody_waits_for_is_durable_well_within_what_is_promised(
    nursery, autojump_clock
):
    durable = []
    journal = await nursery.start(
        Journal(
            ScriptedStore(),
            committed=lambda _events, _position: durable.append(trio.current_time()),
        ).run
    )
    journal.append([event(1)])
    await trio.sleep(1)
    assert durable == [pytest.approx(GATHER + 0.01)]
    assert durable[0] < 0.05


@pytest.mark.parametrize("ask", ["wait", "submit", "assign"])
async def test_somebody_who_waits_ends_the_gathering(nursery, autojump_clock, ask):
    journal = await nursery.start(Journal(ScriptedStore()).run)
    journal.append([event(1)])
    await trio.sleep(GATHER / 2)
    if ask == "wait":
        await journal.wait_durable("r", 1)
    elif ask == "assign":
        await journal.assign(assignment())
    else:
        await journal.submit(new_run("other"), DEFINITION, [event(1, "other")])
    assert trio.current_time() == pytest.approx(GATHER / 2 + 0.01)
    assert journal.durable("r") == 1


async def test_events_are_told_only_after_they_are_durable(nursery, autojump_clock):
    told = []
    journal = await nursery.start(
        Journal(ScriptedStore(), committed=lambda events, _: told.extend(events)).run
    )
    journal.append([event(1)])
    await trio.sleep(0.009)
    assert told == []
    await journal.wait_durable("r", 1)
    assert [e.seq for e in told] == [1]


async def test_a_submission_is_answered_when_it_is_on_disk(nursery, autojump_clock):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    await journal.submit(new_run(), DEFINITION, [event(1)])
    assert store.commits == [[("r", 1)]]
    assert journal.durable("r") == 1


async def test_a_full_disk_refuses_a_submission_and_nothing_of_it_is_written(
    nursery, autojump_clock
):
    store = ScriptedStore(StoreFull("no room"))
    journal = await nursery.start(Journal(store).run)
    with pytest.raises(StoreFull):
        await journal.submit(new_run(), DEFINITION, [event(1)])
    assert store.commits == []
    await trio.testing.wait_all_tasks_blocked()
    assert journal.has_room()
    await journal.submit(new_run("r2"), DEFINITION, [event(1, "r2")])
    assert store.commits == [[("r2", 1)]]


async def test_on_a_full_disk_events_wait_and_no_node_may_start_until_there_is_room(
    nursery, autojump_clock
):
    store = ScriptedStore(StoreFull("no room"), StoreFull("no room"), seconds=0)
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1)])
    await trio.sleep(2 * GATHER)
    assert not journal.has_room()
    assert journal.statistics().blocked
    await journal.wait_room()
    assert store.commits == [[("r", 1)]]
    assert trio.current_time() == pytest.approx(2 * RETRY + 3 * GATHER)


async def test_trouble_of_the_disk_is_told_once_and_its_end(nursery, autojump_clock):
    told = []
    full, busy = StoreFull("no room"), StoreBusy("somebody has it")
    store = ScriptedStore(full, busy, CommitResult(), full, seconds=0)
    journal = await nursery.start(Journal(store, troubled=told.append).run)
    for seq in (1, 2, 3):
        journal.append([event(seq)])
        await journal.wait_durable("r", seq)
    assert told == ["no room", None, "no room", None]


async def test_too_much_that_is_not_durable_stops_further_starts(nursery, autojump_clock):
    journal = await nursery.start(Journal(ScriptedStore()).run)
    journal.append([event(1, size=MAX_WAITING + 1)])
    assert not journal.has_room()
    await journal.wait_room()
    assert journal.has_room()
    assert journal.statistics().waiting_bytes == 0


async def test_any_other_error_of_a_commit_ends_the_journal(autojump_clock):
    with pytest.RaisesGroup(StoreError):
        async with trio.open_nursery() as nursery:
            journal = await nursery.start(Journal(ScriptedStore(*[StoreError("I/O")] * 2)).run)
            journal.append([event(1)])
            await trio.sleep_forever()


async def test_a_run_that_belongs_to_somebody_else_is_reported_and_the_rest_goes_on(
    nursery, autojump_clock
):
    refused, told = [], []
    store = ScriptedStore(CommitResult(refused={"r": Refusal.STALE_EPOCH}))
    journal = Journal(
        store,
        committed=lambda events, _: told.extend(events),
        refused=lambda run, why, epoch: refused.append((run, why, epoch)),
    )
    await nursery.start(journal.run)
    journal.append([event(1)])
    journal.append([event(1, "other")])
    await journal.wait_durable("other", 1)
    assert refused == [("r", Refusal.STALE_EPOCH, 1)]
    assert [e.run_id for e in told] == ["other"]
    assert journal.durable("r") == 0


async def test_what_waits_is_written_when_the_journal_is_closed(autojump_clock):
    store = ScriptedStore()
    async with trio.open_nursery() as nursery:
        journal = await nursery.start(Journal(store).run)
        journal.append([event(1)])
        nursery.cancel_scope.cancel()
    assert store.commits == [[("r", 1)]]


async def test_a_submission_that_meets_the_closing_journal_is_written_before_it_is_answered(
    nursery, autojump_clock
):
    store = ScriptedStore()
    scope = trio.CancelScope()
    written_when_answered = []

    async def submit():
        await journal.submit(new_run(), DEFINITION, [event(1)])
        written_when_answered.extend(store.commits)

    journal = Journal(store)
    nursery.start_soon(submit)
    with scope:
        nursery.start_soon(cancel_soon, scope)
        await journal.run()
    await trio.testing.wait_all_tasks_blocked()
    assert written_when_answered == [[("r", 1)]]


async def cancel_soon(scope):
    await trio.sleep(0.005)
    scope.cancel()


async def test_a_full_disk_does_not_keep_the_journal_from_closing(autojump_clock):
    store = ScriptedStore(*[StoreFull("no room")] * 9)
    async with trio.open_nursery() as nursery:
        journal = await nursery.start(Journal(store).run)
        journal.append([event(1)])
        nursery.cancel_scope.cancel()
    assert store.commits == []


async def test_forgetting_a_run_drops_what_is_known_of_it(nursery, autojump_clock):
    journal = await nursery.start(Journal(ScriptedStore()).run)
    journal.continue_from("r", 7)
    await journal.wait_durable("r", 7)
    journal.forget("r")
    assert journal.durable("r") == 0


async def test_a_submission_that_is_cancelled_before_it_is_written_leaves_nothing(
    nursery, autojump_clock
):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1, "other")])
    await trio.sleep(GATHER + 0.001)  # the commit is under way, and takes 0.01
    with trio.move_on_after(0.001) as scope:
        await journal.submit(new_run(), DEFINITION, [event(1)])
    assert scope.cancelled_caught
    await trio.sleep(1)
    assert store.commits == [[("other", 1)]]


async def test_a_submission_that_is_cancelled_while_it_is_written_is_answered(
    nursery, autojump_clock
):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    with trio.move_on_after(0.005) as scope:
        await journal.submit(new_run(), DEFINITION, [event(1)])
    assert scope.cancel_called
    assert not scope.cancelled_caught
    assert store.commits == [[("r", 1)]]


async def test_an_error_of_who_is_told_does_not_stop_the_writing(nursery, autojump_clock, caplog):
    def broken(_events, _position):
        raise LookupError("a bug")

    journal = await nursery.start(Journal(ScriptedStore(), committed=broken).run)
    for seq in (1, 2):
        journal.append([event(seq)])
        await journal.wait_durable("r", seq)
    assert "a bug" in caplog.text


async def test_who_waits_for_a_run_that_is_lost_is_told(nursery, autojump_clock):
    store = ScriptedStore(CommitResult(refused={"r": Refusal.GAP}))
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1)])
    with pytest.raises(ConflictError, match=r"run r was taken over by somebody else \(gap\)"):
        await journal.wait_durable("r", 1)


async def test_a_commit_takes_only_so_many_events(nursery, autojump_clock, monkeypatch):
    monkeypatch.setattr("dagrun.services.journal.journal.MAX_GROUP", 2)
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    for seq in (1, 2, 3):
        journal.append([event(seq)])
    await journal.wait_durable("r", 3)
    assert store.commits == [[("r", 1), ("r", 2)], [("r", 3)]]


async def test_what_was_taken_up_goes_into_the_commit_of_its_events(
    nursery, autojump_clock, monkeypatch
):
    monkeypatch.setattr("dagrun.services.journal.journal.MAX_GROUP", 2)
    store = ScriptedStore(StoreFull("no room"))
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1)], [message(1), message(2)])
    journal.append([event(2)])
    journal.append([event(3)], [message(3)])
    await journal.wait_durable("r", 3)
    assert store.commits == [[("r", 1), ("r", 2)], [("r", 3)]]
    assert store.taken == [[1, 2], [3]]


async def test_something_is_taken_up_without_an_event(nursery, autojump_clock):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    journal.append([], [message(1)])
    await trio.sleep(1)
    assert store.taken == [[1]]


async def test_an_assignment_is_answered_when_it_is_on_disk(nursery, autojump_clock):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1)])
    assert await journal.assign(assignment()) is None
    assert (store.commits, store.assigned) == ([[("r", 1)]], [[("r", "e")]])
    assert trio.current_time() == pytest.approx(0.01)


async def test_an_assignment_that_is_refused_says_why(nursery, autojump_clock):
    store = ScriptedStore(CommitResult(unassigned={"r": Refusal.UNSEEN}))
    journal = await nursery.start(Journal(store).run)
    async with trio.open_nursery() as both:
        both.start_soon(expect, journal, assignment(), Refusal.UNSEEN)
        both.start_soon(expect, journal, assignment(run="other"), None)
    assert sorted(store.assigned[0]) == [("other", "e"), ("r", "e")]


async def expect(journal, given, why):
    assert await journal.assign(given) is why


async def test_no_assignment_is_written_before_the_events_that_were_appended_before_it(
    nursery, autojump_clock, monkeypatch
):
    monkeypatch.setattr("dagrun.services.journal.journal.MAX_GROUP", 2)
    store = ScriptedStore(StoreFull("no room"))
    journal = await nursery.start(Journal(store).run)
    for seq in (1, 2, 3):
        journal.append([event(seq)])
    nursery.start_soon(journal.assign, assignment(None))
    await trio.testing.wait_all_tasks_blocked()
    journal.append([event(4)])
    await journal.wait_durable("r", 4)
    assert store.commits == [[("r", 1), ("r", 2)], [("r", 3)], [("r", 4)]]
    assert store.assigned == [[], [("r", None)], []]


async def test_each_assignment_of_a_run_gets_its_own_answer(nursery, autojump_clock):
    store = ScriptedStore(None, CommitResult(unassigned={"r": Refusal.STALE_EPOCH}))
    journal = await nursery.start(Journal(store).run)
    nursery.start_soon(expect, journal, assignment("e1"), None)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(expect, journal, assignment("e2"), Refusal.STALE_EPOCH)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(expect, journal, assignment("e3"), None)
    await trio.sleep(1)
    assert store.assigned == [[("r", "e1")], [("r", "e2")], [("r", "e3")]]


@pytest.mark.parametrize("trouble", [StoreFull("no room"), StoreBusy("held")])
async def test_an_assignment_waits_until_the_disk_takes_it(nursery, autojump_clock, trouble):
    store = ScriptedStore(trouble, trouble, seconds=0)
    journal = await nursery.start(Journal(store).run)
    assert await journal.assign(assignment()) is None
    assert store.assigned == [[("r", "e")]]
    assert trio.current_time() == pytest.approx(2 * RETRY)
    assert journal.has_room()


async def test_an_assignment_that_is_cancelled_before_it_is_written_leaves_nothing(
    nursery, autojump_clock
):
    store = ScriptedStore()
    journal = await nursery.start(Journal(store).run)
    journal.append([event(1, "other")])
    await trio.sleep(GATHER + 0.001)  # the commit is under way, and takes 0.01
    with trio.move_on_after(0.001) as scope:
        await journal.assign(assignment())
    assert scope.cancelled_caught
    await trio.sleep(1)
    assert store.assigned == [[]]


async def test_an_assignment_that_is_cancelled_while_it_is_written_is_answered(
    nursery, autojump_clock
):
    store = ScriptedStore(CommitResult(unassigned={"r": Refusal.ENDED}))
    journal = await nursery.start(Journal(store).run)
    with trio.move_on_after(0.005) as scope:
        assert await journal.assign(assignment()) is Refusal.ENDED
    assert scope.cancel_called
    assert not scope.cancelled_caught


async def test_an_assignment_that_is_cancelled_while_the_disk_refuses_it_leaves_nothing(
    nursery, autojump_clock
):
    store = ScriptedStore(StoreFull("no room"))
    journal = await nursery.start(Journal(store).run)
    with trio.move_on_after(0.005) as scope:
        await journal.assign(assignment())
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(0.01)
    await trio.sleep(1)
    assert store.assigned == []
    assert journal.has_room()


async def test_nodes_may_start_again_when_the_assignment_that_met_a_full_disk_is_given_up(
    nursery, autojump_clock
):
    store = ScriptedStore(StoreFull("no room"), seconds=0)
    journal = await nursery.start(Journal(store).run)
    with trio.move_on_after(RETRY / 2):
        await journal.assign(assignment())
    assert not journal.has_room()
    await journal.wait_room()
    assert trio.current_time() == pytest.approx(RETRY)
    assert store.assigned == []


async def test_an_assignment_that_meets_the_closing_journal_is_written(nursery, autojump_clock):
    store = ScriptedStore()
    journal, scope = Journal(store), trio.CancelScope()
    nursery.start_soon(expect, journal, assignment(), None)
    with scope:
        nursery.start_soon(cancel_soon, scope)
        await journal.run()
    assert store.assigned == [[("r", "e")]]


@pytest.mark.parametrize("trouble", [StoreFull, StoreError])
async def test_an_assignment_that_cannot_be_written_any_more_is_an_error(
    nursery, autojump_clock, trouble
):
    async def assign():
        with pytest.raises(ConflictError, match="closed"):
            await journal.assign(assignment())
        answered.append(True)

    journal, scope = Journal(ScriptedStore(*[trouble("no room")] * 9)), trio.CancelScope()
    answered = []
    nursery.start_soon(assign)
    with scope, contextlib.suppress(StoreError):
        nursery.start_soon(cancel_soon, scope)
        await journal.run()
    await trio.testing.wait_all_tasks_blocked()
    await assign()
    assert answered == [True, True]


async def test_messages_are_told_of_after_the_events_that_posted_them(nursery, autojump_clock):
    told = []
    posted = [Posted(run_id="p", message=Message(number=1, kind=MessageKind.CANCEL))]
    store = ScriptedStore(CommitResult(posted=posted), None)
    journal = Journal(
        store,
        committed=lambda events, _: told.append([one.seq for one in events]),
        posted=told.append,
    )
    await nursery.start(journal.run)
    for seq in (1, 2):
        journal.append([event(seq)])
        await journal.wait_durable("r", seq)
    assert told == [[1], posted, [2]]


async def test_an_error_of_one_who_is_told_keeps_nothing_from_the_other(
    nursery, autojump_clock, caplog
):
    def broken(*_):
        raise LookupError("a bug")

    posted = [Posted(run_id="p", message=Message(number=1, kind=MessageKind.CANCEL))]
    store = ScriptedStore(*[CommitResult(posted=posted)] * 2)
    told = []
    for options in ({"committed": broken, "posted": told.extend}, {"posted": broken}):
        journal = await nursery.start(Journal(store, **options).run)
        journal.append([event(1)])
        await journal.wait_durable("r", 1)
    assert told == posted
    assert caplog.text.count("LookupError: a bug") == 2


async def test_a_child_that_is_not_stored_is_an_error_that_names_its_parent(
    nursery, autojump_clock
):
    store = ScriptedStore(CommitResult(unsaved={"c": Rejection.ORPHAN}))
    journal = await nursery.start(Journal(store).run)
    started_by = Parent(run_id="p", epoch=1, node_id="a", item=None, attempt=1, depth=1)
    child = attrs.evolve(new_run("c"), parent=started_by)
    with pytest.raises(ConflictError, match="run p starts no child any more"):
        await journal.submit(child, DEFINITION, [event(1, "c")])


async def test_a_child_that_is_there_already_stands_for_the_new_one(nursery, autojump_clock):
    store = ScriptedStore(CommitResult(unsaved={"c": "first"}))
    journal = await nursery.start(Journal(store).run)
    assert await journal.submit(new_run("c"), DEFINITION, [event(1, "c")]) == "first"

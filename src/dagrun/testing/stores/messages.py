# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What is posted to runs, and taken up."""

import attrs
import pytest

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.errors import NotFound
from dagrun.ports.store import CommitResult, Message, MessageKind, Posted, Refusal, Store
from dagrun.testing.journals import ATTEMPT, ERROR, add_run, event, journal
from dagrun.testing.stores.records import (
    CANCEL,
    ENDINGS,
    PAUSE,
    R,
    assignment,
    cancelling,
    place,
    taken,
    waiting,
    whom,
)


class MessagesSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_what_is_posted_waits_in_order_with_its_data(self, store: Store) -> None:
        await add_run(store, upto=2)
        data = {"reason": "requested", "nested": {"list": [1, None, "ü\0"]}}
        posted = [
            await store.post(R, PAUSE),
            await store.post(R, MessageKind.RESUME),
            await store.post(R, CANCEL, data),
        ]
        expected = [
            Message(number=1, kind=PAUSE),
            Message(number=2, kind=MessageKind.RESUME),
            Message(number=3, kind=CANCEL, data=data),
        ]
        assert posted == [[Posted(run_id=R, message=message)] for message in expected]
        assert await store.messages(R) == expected
        assert await store.messages(RunId("none")) == []

    async def test_what_was_posted_to_runs_of_others_is_found(self, store: Store) -> None:
        for run_id, owner in (("r", "you"), ("s", "me"), ("t", "you"), ("u", "him")):
            await add_run(store, run_id, upto=2, owner=owner)
            if run_id != "t":
                await store.post(RunId(run_id), PAUSE)
        await store.post(R, CANCEL, {"reason": "requested"})
        found = await store.messages_to_others("me")
        assert [(one.run_id, one.message.number) for one in found] == [("r", 1), ("r", 2), ("u", 1)]
        assert [one.message for one in found[:2]] == await store.messages(R)
        await store.commit([], taken=[taken(1), taken(2)])
        assert [one.run_id for one in await store.messages_to_others("me")] == ["u"]

    async def test_numbers_are_not_given_again(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        for number in (1, 2, 3):
            await store.post(R, PAUSE)
            assert await waiting(store) == [(number, "pause")]
            assert await store.commit([], taken=[taken(number)]) == CommitResult()
            assert await waiting(store) == []
        await store.post(RunId("other"), PAUSE)
        assert await waiting(store, "other") == [(1, "pause")]

    async def test_only_what_was_taken_up_is_deleted(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        for run_id in ("r", "r", "other", "r"):
            await store.post(RunId(run_id), PAUSE)
        await store.commit([], taken=[taken(1), taken(3), taken(9), taken(1)])
        assert await waiting(store) == [(2, "pause")]
        assert await waiting(store, "other") == [(1, "pause")]

    @pytest.mark.parametrize("epoch", [1, 3])
    async def test_what_was_taken_up_under_another_epoch_stays(
        self, store: Store, epoch: int
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.claim(R, owner="other", expected_epoch=1)
        await store.commit([], taken=[taken(1, epoch)])
        assert await waiting(store) == [(1, "pause")]
        await store.commit([], taken=[taken(1, epoch=2)])
        assert await waiting(store) == []

    async def test_messages_stay_if_what_they_brought_about_is_refused(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        await store.post(R, CANCEL, {"reason": "requested"})
        before = await store.messages(R)
        gap = await store.commit([cancelling(4), *journal("other")[2:3]], taken=[taken(1)])
        assert gap.refused == {R: Refusal.GAP}
        assert await store.messages(R) == before
        assert not (await store.commit([cancelling(3)], taken=[taken(1)])).refused
        assert await store.messages(R) == []

    async def test_nothing_is_posted_to_a_run_that_has_ended(self, store: Store) -> None:
        await add_run(store)
        for kind in (CANCEL, PAUSE, MessageKind.RESUME):
            assert await store.post(R, kind) == []
        assert await store.messages(R) == []

    async def test_nothing_is_posted_to_a_run_that_is_missing(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.post(RunId("none"), PAUSE)

    async def test_a_request_to_cancel_is_posted_once(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        assert await store.post(R, CANCEL) == []
        assert await waiting(store) == [(1, "cancel")]
        await store.commit([cancelling()], taken=[taken(1)])
        assert await store.post(R, CANCEL) == []
        assert whom(await store.post(R, PAUSE)) == [("r", "pause")]
        assert await waiting(store) == [(2, "pause")]

    async def test_the_end_of_a_run_deletes_its_messages_and_its_assignment(
        self, store: Store
    ) -> None:
        for run_id in ("r", "other", "unposted"):
            await add_run(store, run_id, upto=2)
            await store.commit([], assignments=[assignment(run_id=run_id)])
        for run_id in ("r", "other"):
            await store.post(RunId(run_id), PAUSE)
        await store.commit([*journal()[2:6], *journal("other")[2:6]])
        assert await place(store) == ("e", "i")
        await store.commit([journal()[6], *journal("unposted")[2:]])
        assert await store.messages(R) == []
        assert [await place(store, run_id) for run_id in ("r", "unposted")] == [(None, None)] * 2
        assert await waiting(store, "other") == [(1, "pause")]
        assert await place(store, "other") == ("e", "i")

    @pytest.mark.parametrize("end", ENDINGS, ids=[end.type for end in ENDINGS])
    async def test_no_end_is_decided_on_while_a_request_to_cancel_waits(
        self, store: Store, end: Event
    ) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        await store.post(R, CANCEL)
        node = event(3, Type.NODE_RUNNING, **ATTEMPT)
        last = attrs.evolve(end, seq=4)
        result = await store.commit([node, last, *journal("other")[2:]])
        assert result.refused == {R: Refusal.UNSEEN}
        assert await store.events(R) == [*journal()[:2], node]
        assert [one for one in result.taken if one.run_id == R] == [node]
        assert await store.events(RunId("other")) == journal("other")
        assert not (await store.commit([last], taken=[taken(1)])).refused

    async def test_what_follows_a_refused_end_is_not_stored(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        result = await store.commit([ENDINGS[0], event(4, Type.RUN_FAILED, data={"error": ERROR})])
        assert (result.refused, result.taken) == ({R: Refusal.UNSEEN}, [])
        assert await store.events(R) == journal()[:2]

    async def test_a_message_stays_though_only_the_end_behind_it_was_refused(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.post(R, CANCEL)
        node = event(3, Type.NODE_RUNNING, **ATTEMPT)
        await store.commit([node, attrs.evolve(ENDINGS[2], seq=4)], taken=[taken(1)])
        assert await store.events(R) == [*journal()[:2], node]
        assert await waiting(store) == [(1, "pause"), (2, "cancel")]

    async def test_other_messages_keep_no_run_from_ending(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.post(R, MessageKind.RESUME)
        assert not (await store.commit(journal()[2:])).refused

    async def test_a_message_taken_up_in_vain_does_not_stand_for_the_request(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.post(R, CANCEL)
        result = await store.commit([ENDINGS[1]], taken=[taken(1), taken(2, epoch=2)])
        assert result.refused == {R: Refusal.UNSEEN}
        assert await waiting(store) == [(1, "pause"), (2, "cancel")]

    @pytest.mark.parametrize("end", [ENDINGS[0], ENDINGS[2]], ids=["ending", "failed"])
    @pytest.mark.parametrize("at_once", [True, False])
    async def test_a_run_that_is_being_cancelled_anyway_may_end(
        self, store: Store, end: Event, at_once: bool
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        events = [cancelling(), attrs.evolve(end, seq=4)]
        for batch in [events] if at_once else [[one] for one in events]:
            assert not (await store.commit(batch)).refused

    async def test_the_cancellation_of_one_run_does_not_let_another_one_end(
        self, store: Store
    ) -> None:
        for run_id in ("r", "other"):
            await add_run(store, run_id, upto=2)
            await store.post(RunId(run_id), CANCEL)
        result = await store.commit([cancelling(run_id="other"), ENDINGS[2]])
        assert result.refused == {R: Refusal.UNSEEN}

    async def test_the_end_of_a_cancellation_is_never_too_early(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        assert not (await store.commit([event(3, Type.RUN_CANCELLED)])).refused

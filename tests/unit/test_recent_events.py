"""Who follows an engine gets what is durable, in order, and is told where some is missing."""

from contextlib import aclosing

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dagrun.domain.events import Type
from dagrun.domain.jsonvalue import Raw, encode
from dagrun.errors import InputError
from dagrun.services.journal.recent import MOST_BYTES, MOST_EVENTS, PAGE, RecentEvents
from dagrun.services.journal.uplink import Uplink
from dagrun.testing.journals import event, journal


def some(first, last, run_id="r", **fields):
    return [event(seq, Type.NODE_RUNNING, run_id, **fields) for seq in range(first, last + 1)]


async def taken(pages, count=None):
    """Give what comes without waiting, up to a number of pages."""
    given = []
    with trio.move_on_after(1):
        async for page in pages:
            given.append(page)
            if len(given) == count:
                break
    return given


async def all_of(recent, **options):
    """Give what comes without waiting to somebody new."""
    async with aclosing(recent.follow(**options)) as pages:
        return await taken(pages)


def seqs(pages):
    return [None if page.missing else [one.seq for one in page.events] for page in pages]


async def test_only_what_the_orchestrator_has_acknowledged_is_given(autojump_clock):
    recent = RecentEvents("i")
    uplink = Uplink(recent=recent)
    async with aclosing(recent.follow()) as pages:
        uplink.append(journal()[:3])
        uplink.append(journal()[3:])
        uplink.take_report()
        assert not await taken(pages)
    async with aclosing(recent.follow()) as pages:
        uplink.acknowledge("r", 3)
        assert seqs(await taken(pages)) == [[1, 2, 3]]
    async with aclosing(recent.follow()) as pages:
        uplink.acknowledge("r", 7)
        (page,) = await taken(pages)
        assert page.events == journal()[3:]


async def test_without_a_position_it_begins_with_the_call(autojump_clock):
    recent = RecentEvents("i")
    recent.add(some(1, 2))
    async with aclosing(recent.follow()) as pages:
        recent.add(some(3, 3))
        assert seqs(await taken(pages)) == [[3]]


async def test_who_waits_is_woken(nursery, autojump_clock):
    recent, got = RecentEvents("i"), []

    async def follow():
        async for page in recent.follow():
            got.extend(seqs([page]))

    nursery.start_soon(follow)
    nursery.start_soon(follow)
    await wait_all_tasks_blocked()
    recent.add(some(1, 2))
    await wait_all_tasks_blocked()
    recent.add(some(3, 3))
    await wait_all_tasks_blocked()
    assert got == [[1, 2], [1, 2], [3], [3]]
    nursery.cancel_scope.cancel()


async def test_a_position_goes_on_behind_what_was_read(autojump_clock):
    recent = RecentEvents("i")
    recent.add(some(1, 3))
    (page,) = await all_of(recent, after="i.0")
    recent.add(some(4, 5))
    assert seqs(await all_of(recent, after=page.position)) == [[4, 5]]
    assert seqs(await all_of(recent, after="i.5")) == []


async def test_who_is_too_slow_is_told_that_some_are_missing_and_goes_on(autojump_clock):
    recent = RecentEvents("i")
    async with aclosing(recent.follow(after="i.0")) as pages:
        recent.add(some(1, 2))
        assert seqs(await taken(pages, 1)) == [[1, 2]]
        recent.add(some(3, MOST_EVENTS + 10))
        first, second = await taken(pages, 2)
    assert (first.missing, first.events, first.position) == (True, (), "i.10")
    assert second.events == some(11, MOST_EVENTS + 10)
    assert seqs(await all_of(recent, after=first.position)) == seqs([second])


async def test_a_position_of_an_earlier_life_of_the_engine_says_that_some_are_missing(
    autojump_clock,
):
    recent = RecentEvents("now")
    recent.add(some(1, 2))
    assert seqs(await all_of(recent, after="before.7")) == [None, [1, 2]]
    assert seqs(await all_of(RecentEvents("now"), after="before.0")) == [None]


@pytest.mark.parametrize("after", ["", "i", "i.", "i.-1", "i.x", "i.²", "i.3", "i." + "9" * 20])
def test_what_is_no_position_is_refused(after):
    recent = RecentEvents("i")
    recent.add(some(1, 2))
    with pytest.raises(InputError, match="after"):
        recent.follow(after=after)


async def test_the_events_of_one_run_may_be_wanted(autojump_clock):
    recent = RecentEvents("i")
    recent.add(some(1, 2, "r"))
    recent.add(some(1, 3, "other"))
    recent.lost("other")
    recent.add(some(3, 3, "r"))
    (page,) = await all_of(recent, run_id="r", after="i.0")
    assert [one.seq for one in page.events] == [1, 2, 3]
    assert page.position == "i.7"


async def test_what_a_run_lost_before_it_was_acknowledged_is_missing(autojump_clock):
    recent = RecentEvents("i")
    uplink = Uplink(recent=recent)
    uplink.append(some(1, 2))
    uplink.acknowledge("r", 2)
    uplink.append(some(3, 4))
    uplink.refuse("r")
    uplink.refuse("r")
    uplink.refuse("unknown")
    recent.add(some(1, 1, "other"))
    given = await all_of(recent, after="i.0")
    assert seqs(given) == [[1, 2], None, [1]]
    assert seqs(await all_of(recent, after=given[1].position)) == [[1]]


async def test_large_events_come_in_several_pages_and_leave_soon(autojump_clock):
    large = {"outputs": encode("x" * PAGE)}
    recent = RecentEvents("i")
    recent.add(some(1, 20, data=large))
    given = seqs(await all_of(recent, after="i.0"))
    kept = MOST_BYTES // (PAGE + 202)
    assert given == [None, *([seq] for seq in range(21 - kept, 21))]


async def test_an_event_that_is_larger_than_all_that_may_be_kept_is_given(autojump_clock):
    recent = RecentEvents("i")
    huge = {"outputs": Raw(b'"%s"' % (b"x" * MOST_BYTES))}
    recent.add([*some(1, 1), *some(2, 2, data=huge)])
    assert seqs(await all_of(recent, after="i.0")) == [None, [2]]
    recent.add(some(3, 3))
    assert seqs(await all_of(recent, after="i.0")) == [None, [3]]

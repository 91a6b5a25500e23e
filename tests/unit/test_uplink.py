import trio
import trio.testing

from dagrun.domain.events import Type
from dagrun.services.journal.uplink import Uplink
from dagrun.testing.journals import event


def started(seq):
    return [event(seq, Type.NODE_RUNNING)]


async def test_a_report_says_whether_somebody_waits_for_what_was_reported(nursery):
    uplink = Uplink()
    uplink.append(started(1))
    assert not uplink.take_report().awaited
    assert uplink.take_report() is None
    nursery.start_soon(uplink.wait_durable, "r", 1)
    await trio.testing.wait_all_tasks_blocked()
    late = uplink.take_report()
    assert (late.events, late.awaited) == ((), True)
    uplink.append(started(2))
    assert not uplink.take_report().awaited
    uplink.send_again(["r"])
    again = uplink.take_report()
    assert ([one.seq for one in again.events], again.awaited) == ([1, 2], True)
    uplink.acknowledge("r", 2)


async def test_what_is_forgotten_is_not_sent_and_the_rest_is():
    uplink = Uplink()
    for run_id in ("a", "b", "a"):
        uplink.append([event(1, Type.NODE_RUNNING, run_id)])
    uplink.forget("a")
    assert [one.run_id for one in uplink.take_report().events] == ["b"]
    uplink.forget("b")
    assert uplink.take_report() is None
    assert uplink.statistics().events == 0

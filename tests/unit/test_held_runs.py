import pytest
import trio
import trio.testing

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.ports.engine import Holding
from dagrun.ports.frames import Dispatch, Stop, Why
from dagrun.services.attachment.outbox import Outbox
from dagrun.services.attachment.runs import HeldRuns
from dagrun.testing.drive import make_node, make_plan

RUN = RunId("r")


class Engine:
    """Has one run, under an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch
        self.abandoned = []

    def holding(self, run_id):
        if self.epoch is None:
            return None
        return Holding(run_id=run_id, epoch=self.epoch, halted=False)

    def abandon(self, run_id, why):
        self.abandoned.append(why)


class Uplink:
    """Notes of what nothing is kept any more."""

    def __init__(self):
        self.refused = []

    def refuse(self, run_id):
        self.refused.append(run_id)

    def call_when_unsent(self, wake):
        pass

    def continue_from(self, run_id, seq):
        pass

    def take_report(self):
        return None


def held(epoch):
    uplink = Uplink()
    runs = HeldRuns(uplink=uplink, outbox=Outbox(uplink, uplink), compile_plan=None)
    runs.engine = Engine(epoch)
    return runs, uplink


@pytest.mark.parametrize(("epoch", "stopped"), [(1, True), (2, False), (None, True)])
def test_a_run_is_stopped_under_the_epoch_that_is_meant_only(epoch, stopped):
    runs, uplink = held(epoch)
    runs.stop(Stop(run_id=RUN, epoch=1, reason="enough"))
    assert runs.engine.abandoned == (["enough"] if stopped else [])
    assert uplink.refused == ([RUN] if stopped else [])


def dispatch(epoch, *, more=False):
    return Dispatch(
        run_id=RUN,
        epoch=epoch,
        definition_hash="",
        definition=b"",
        inputs=EMPTY,
        events=(),
        more=more,
    )


async def test_a_late_stop_does_not_end_a_dispatch_that_is_still_coming():
    runs, uplink = held(None)
    await runs.take(dispatch(2, more=True))
    runs.stop(Stop(run_id=RUN, epoch=1, reason="late"))
    assert uplink.refused == []
    runs.stop(Stop(run_id=RUN, epoch=2, reason="meant"))
    assert uplink.refused == [RUN]


@pytest.mark.parametrize("epochs", [(1, 1), (2, 1)], ids=["twice", "an older one late"])
async def test_a_run_is_executed_once_under_its_newest_epoch(epochs):
    executed = []
    runs, _ = held(None)

    async def compile_slowly(_definition):
        await trio.sleep(0.01)
        return make_plan(make_node("a"))

    runs._compile_plan = compile_slowly

    def execute(state, *, epoch, messages, lost):
        executed.append(epoch)
        runs.engine.epoch = epoch

    runs.engine.execute = execute
    async with trio.open_nursery() as nursery:
        for epoch in epochs:
            nursery.start_soon(runs.take, dispatch(epoch))
            await trio.testing.wait_all_tasks_blocked()
    assert executed == [epochs[0]]


async def test_a_run_that_comes_while_all_are_handed_over_goes_back():
    runs, uplink = held(None)
    runs.engine.halt = lambda: None
    runs.engine.holdings = list
    await runs.hand_over()
    await runs.take(dispatch(1))
    (frame,) = await runs._outbox.take()
    assert (frame.run_id, frame.epoch, frame.why) == (RUN, 1, Why.UNUSABLE)
    assert uplink.refused == []

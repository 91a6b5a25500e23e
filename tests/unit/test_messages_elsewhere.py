"""What is posted to runs of other processes reaches them, also if they do not answer at first."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError, RemoteError, StoreCorrupt
from dagrun.ports.store import MessageKind
from dagrun.roles import messages as module
from dagrun.roles.messages import Messages
from dagrun.testing.journals import add_run

RUN = RunId("r")


class Others:
    """Other processes: those that live do as a script says when they are told of something."""

    def __init__(self, monkeypatch):
        self.living, self.script, self.told, self.cancelled = True, [], [], []
        self.dispatcher = SimpleNamespace(tell=lambda *_: False)
        monkeypatch.setattr(module, "owner_pid", lambda *_: 1 if self.living else None)
        monkeypatch.setattr(module, "ask_owner", self.ask)

    def owns(self, _record):
        return False

    async def ask(self, _folder, record, what):
        await trio.lowlevel.checkpoint()
        self.told.append((record.run_id, what, trio.current_time()))
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, Exception):
            self.living = not isinstance(answer, ConflictError)
            raise answer

    async def cancel(self, record, *, reason):
        await trio.lowlevel.checkpoint()
        self.cancelled.append((record.run_id, reason))


@pytest.fixture
async def others(monkeypatch, tmp_path, nursery):
    others = Others(monkeypatch)
    async with MemoryStore() as others.store:
        await add_run(others.store, upto=3)
        others.messages = await nursery.start(Messages(tmp_path, others.store, others).run)
        yield others


async def post(others, kind=MessageKind.CANCEL, **data):
    others.messages.see(await others.store.post(RUN, kind, data))


async def test_a_process_that_does_not_answer_is_told_again_until_it_does(
    others, caplog, autojump_clock
):
    others.script = [RemoteError("it hangs")] * 3
    await post(others)
    await trio.sleep(60)
    assert [time for *_, time in others.told] == pytest.approx([0, 0.5, 1.5, 3.5])
    assert [one.levelname for one in caplog.records] == ["WARNING"]


async def test_a_cancel_is_carried_out_here_if_the_process_has_just_ended(others, autojump_clock):
    others.script = [ConflictError("it has ended")]
    await post(others, reason="parent cancelled")
    await trio.sleep(60)
    assert others.cancelled == [(RUN, "parent cancelled")]


async def test_one_who_hangs_holds_nobody_else_up(others, autojump_clock):
    others.script = [RemoteError("it hangs")] * 1000
    await post(others)
    await trio.sleep(1)
    await add_run(others.store, "s", upto=3)
    others.script = [RemoteError("it hangs"), None]
    others.messages.see(await others.store.post(RunId("s"), MessageKind.PAUSE, {}))
    await trio.sleep(0.7)
    assert {run for run, *_ in others.told} == {"r", "s"}


async def test_what_never_will_work_is_told_once(others, caplog, autojump_clock):
    others.script = [StoreCorrupt("damaged")]
    await post(others)
    await trio.sleep(60)
    assert len(others.told) == 1
    assert [one.levelname for one in caplog.records] == ["WARNING"]

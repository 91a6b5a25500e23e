"""What is answered to who asks for a change of a run that no engine carries out yet."""

import json

import pytest

from dagrun.builtin.memory_store import MemoryStore
from dagrun.cli import changes
from dagrun.cli.options import Asked
from dagrun.domain.events import Type
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.ports.management import Change
from dagrun.ports.store import MessageKind
from dagrun.roles.explaining import explain
from dagrun.services.fleet.mailbox import Mailbox
from dagrun.testing.drive import make_node, make_plan
from dagrun.testing.journals import add_run, event

RUN = RunId("r")
PLAN = make_plan(make_node("a"), make_node("b"))
LATER = "as soon as an engine takes up the request"
SEE = "dagrun: see who has it with: dagrun runs explain r\n"
CANCEL, PAUSE, RESUME = MessageKind.CANCEL, MessageKind.PAUSE, MessageKind.RESUME


@pytest.fixture
def told(monkeypatch, capsys):
    """Let a run be asked for something, and give the exit code and what is printed."""

    def ask(what, status, *, changed, as_json=False):
        change = Change(run_id="r", changed=changed, status=RunStatus(status))
        monkeypatch.setattr(changes, "ask", lambda _asked, _act: change)
        code = changes.change_run(Asked(json=as_json), "r", what)
        return code, *capsys.readouterr()

    return ask


@pytest.mark.parametrize(
    ("what", "status", "says"),
    [
        ("cancel", "running", f"will be cancelled {LATER}"),
        ("cancel", "paused", f"will be cancelled {LATER}"),
        ("cancel", "cancelling", "is cancelled"),
        ("cancel", "cancelled", "is cancelled"),
        ("cancel", "succeeded", "has succeeded already"),
        ("pause", "queued", f"will be paused {LATER}"),
        ("pause", "running", f"will be paused {LATER}"),
        ("pause", "paused", "is paused"),
        ("resume", "paused", f"will go on {LATER}"),
        ("resume", "queued", "goes on"),
        ("resume", "succeeded", "goes on"),
    ],
)
def test_it_is_said_what_came_of_a_request_and_what_is_to_come(told, what, status, says):
    code, out, err = told(what, status, changed=True)
    assert (code, out) == (0, f"run r {says}\n")
    assert (SEE in err) is (LATER in says)


@pytest.mark.parametrize(
    ("what", "status", "says"),
    [
        ("cancel", "running", "cancelled: a request to cancel it waits for an engine already"),
        ("cancel", "ending", "cancelled: it is ending already"),
        ("pause", "running", "paused: a request to pause or cancel it waits for an engine already"),
        ("pause", "paused", "paused: it is paused already"),
        (
            "resume",
            "paused",
            "resumed: a request to resume or cancel it waits for an engine already",
        ),
        ("resume", "running", "resumed: it is running already"),
    ],
)
def test_a_second_request_is_told_that_there_is_one(told, what, status, says):
    code, out, err = told(what, status, changed=False)
    assert (code, out) == (1, "")
    assert err.startswith(f"dagrun: run r cannot be {says}\n")
    assert (SEE in err) is ("waits for an engine" in says)


def test_programs_read_of_a_request_what_they_did(told):
    code, out, err = told("cancel", "running", changed=True, as_json=True)
    assert (code, err) == (0, "")
    assert json.loads(out) == {"run_id": "r", "changed": True, "status": "running"}


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ([CANCEL], [f"it is to be cancelled (requested) {LATER}"]),
        ([PAUSE], [f"it is to be paused {LATER}"]),
        ([PAUSE, CANCEL], [f"it is to be cancelled (requested) {LATER}"]),
        ([PAUSE, RESUME], []),
        ([], []),
    ],
)
async def test_what_was_asked_for_and_not_done_is_among_the_reasons(tmp_path, posted, said):
    async with MemoryStore() as store:
        await add_run(store, upto=3)
        for kind in posted:
            await store.post(RUN, kind, {"reason": "requested"} if kind is CANCEL else {})
        reasons = await reasons_of(tmp_path, store)
    assert reasons[1:-2] == [*said, "engine e1 has it"]


async def test_that_a_run_is_to_go_on_is_among_the_reasons_while_it_is_paused(tmp_path):
    async with MemoryStore() as store:
        await add_run(store, upto=3)
        await store.commit([event(4, Type.RUN_PAUSED, data={"reason": "requested"})])
        await store.post(RUN, RESUME)
        assert (await reasons_of(tmp_path, store))[1] == f"it is to go on {LATER}"


async def test_what_is_done_is_no_reason_any_more(tmp_path):
    async with MemoryStore() as store:
        await add_run(store, upto=3)
        await store.post(RUN, CANCEL, {"reason": "requested"})
        await store.commit([event(4, Type.RUN_CANCELLING, data={"reason": "requested"})])
        assert not [one for one in await reasons_of(tmp_path, store) if LATER in one]


async def reasons_of(folder, store):
    """Explain a run that an engine of this process's orchestrator has."""
    state = RunState(PLAN, RUN, EMPTY)
    replay(state, list(await store.events(RUN)))
    record = await store.run(RUN)
    return await explain(folder, store, record, state, here=lambda _: "engine e1 has it")


@pytest.mark.parametrize(
    ("status", "posted", "kind", "of_use"),
    [
        ("running", [], PAUSE, True),
        ("queued", [PAUSE], PAUSE, False),
        ("queued", [PAUSE], RESUME, True),
        ("running", [PAUSE], PAUSE, False),
        ("running", [CANCEL], PAUSE, False),
        ("running", [PAUSE], RESUME, True),
        ("running", [PAUSE, CANCEL], RESUME, False),
        ("paused", [CANCEL], RESUME, False),
        ("running", [CANCEL], CANCEL, False),
    ],
)
async def test_a_run_that_is_to_be_cancelled_is_asked_for_nothing_more(
    status, posted, kind, of_use
):
    async with MemoryStore() as store:
        await add_run(store, upto=1 if status == "queued" else 3)
        if status == "paused":
            await store.commit([event(4, Type.RUN_PAUSED, data={"reason": "requested"})])
        for one in posted:
            await store.post(RUN, one, {})
        mailbox = Mailbox(store, lambda _posted: None)
        assert await mailbox.post(RUN, kind, {}) is of_use

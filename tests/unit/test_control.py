"""How processes on one data directory ask things of each other."""

import json
import os
from contextlib import suppress

import pytest
import trio

from dagrun.builtin import control
from dagrun.builtin.control import Control, ask
from dagrun.errors import (
    ConflictError,
    NotFound,
    RemoteError,
    RunOwned,
    StoreBusy,
    StoreFull,
    WorkerDied,
)


@pytest.fixture
def data_dir(tmp_path):
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
    (deep / "owners").mkdir(parents=True)
    return deep


_KINDS = {
    "not_found": NotFound("none"),
    "store_full": StoreFull("no room"),
    "run_owned": RunOwned("r", 5),
    "remote": WorkerDied("dead"),
    "grouped": ExceptionGroup("all", [StoreBusy("held")]),
    "bug": ZeroDivisionError("oops"),
}


async def answer(request):
    match request.get("do"):
        case "echo":
            return request
        case "refuse":
            raise ConflictError("not now")
        case "slow":
            await trio.sleep_forever()
        case "fail":
            raise _KINDS[request["kind"]]
    raise NotFound(f"no {request.get('do')}")


@pytest.fixture
async def listening(nursery, data_dir):
    return await nursery.start(Control(data_dir, "me", answer).run)


async def raw(data_dir, data):
    """Send bytes, and give all that comes back."""
    fd = os.open(data_dir / "owners", os.O_PATH)
    try:
        async with await trio.open_unix_socket(f"/proc/self/fd/{fd}/me.sock") as stream:
            await stream.send_all(data)
            await stream.send_eof()
            return b"".join([chunk async for chunk in stream])
    finally:
        os.close(fd)


async def test_a_request_gets_its_answer_however_deep_the_folder_is(data_dir, listening):
    request = {"do": "echo", "run_id": "r"}
    assert await ask(data_dir, "me", request) == request


async def test_the_socket_is_for_its_user_alone_and_goes_with_the_service(data_dir, nursery):
    async with trio.open_nursery() as inner:
        await inner.start(Control(data_dir, "me", answer).run)
        assert (data_dir / "owners" / "me.sock").stat().st_mode & 0o777 == 0o600
        inner.cancel_scope.cancel()
    assert not (data_dir / "owners" / "me.sock").exists()
    with pytest.raises(RemoteError, match="does not answer"):
        await ask(data_dir, "me", {"do": "echo"})


async def test_a_refusal_is_raised_where_it_was_asked(data_dir, listening):
    with pytest.raises(ConflictError, match="not now"):
        await ask(data_dir, "me", {"do": "refuse"})


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("not_found", NotFound),
        ("store_full", StoreFull),
        ("run_owned", ConflictError),
        ("remote", RemoteError),
        ("grouped", StoreBusy),
    ],
)
async def test_an_error_keeps_its_kind_on_the_way(data_dir, listening, kind, raised):
    with pytest.raises(raised) as caught:
        await ask(data_dir, "me", {"do": "fail", "kind": kind})
    assert type(caught.value) is raised


async def test_a_bug_in_the_answer_is_told_and_logged_and_ends_nothing(data_dir, listening, caplog):
    with pytest.raises(RemoteError, match="ZeroDivisionError: oops"):
        await ask(data_dir, "me", {"do": "fail", "kind": "bug"})
    assert "ZeroDivisionError" in caplog.text
    assert await ask(data_dir, "me", {"do": "echo"}) == {"do": "echo"}


@pytest.mark.parametrize("reply", [[], {}, {"error": {}}, {"error": {"type": 1, "message": "x"}}])
async def test_an_answer_that_makes_no_sense_is_no_result(data_dir, listening, reply, monkeypatch):
    monkeypatch.setattr(Control, "_reply", lambda *_: _given(reply))
    with pytest.raises(RemoteError, match="something else"):
        await ask(data_dir, "me", {"do": "echo"})


async def _given(value):
    return value


async def test_another_user_is_not_answered(data_dir, listening, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    monkeypatch.setattr(control, "ROOT", 4322)
    with pytest.raises(RemoteError):
        await ask(data_dir, "me", {"do": "echo"})


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n",
        b"[]\n",
        b"\xff\xfe\n",
        b"[" * 50_000 + b"\n",
        b'{"do": "echo", "reason": "\\ud800"}\n',
        b'{"do": "echo", "\\ud800": "x"}\n',
        b'{"do": "echo", "reason": ["x"]}\n',
        b'{"do": "echo", "n": %s}\n' % (b"9" * 5000),
        b'{"do": "echo", "reason": "%s"}\n' % (b"x" * (control.MAX_TEXT + 1)),
    ],
)
async def test_garbage_gets_an_error_and_others_are_answered(data_dir, listening, data):
    assert "error" in json.loads(await raw(data_dir, data))
    assert await ask(data_dir, "me", {"do": "echo"}) == {"do": "echo"}


@pytest.mark.parametrize("data", [b"", b"no end", b"x" * (control.MAX_LINE + 1) + b"\n"])
async def test_a_line_that_is_cut_short_or_too_long_is_dropped(data_dir, listening, data):
    with suppress(trio.BrokenResourceError):  # it may be hung up on while it still sends
        assert await raw(data_dir, data) == b""
    assert await ask(data_dir, "me", {"do": "echo"}) == {"do": "echo"}


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(
    data_dir, listening, monkeypatch
):
    monkeypatch.setattr(control, "PATIENCE", 0.05)
    with pytest.raises(RemoteError, match="does not answer"):
        await ask(data_dir, "me", {"do": "slow"})


async def test_who_has_no_owner_id_is_not_looked_for(data_dir):
    with pytest.raises(RemoteError, match="is no owner"):
        await ask(data_dir, "../../etc/x", {"do": "echo"})

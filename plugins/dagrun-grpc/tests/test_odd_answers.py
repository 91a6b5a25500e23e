"""Whatever a server answers, and whatever it is asked for, a client says one line of dagrun's."""

from contextlib import aclosing, asynccontextmanager
from functools import partial
from types import SimpleNamespace

import pytest
import trio
from grpclib import Status

from dagrun import errors
from dagrun.errors import InputError, RemoteError
from dagrun.ports.engine import EngineView
from dagrun.ports.management import Wanted
from dagrun_grpc import grpc
from dagrun_grpc.aio import answering
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.manage_client import ManagementClient
from dagrun_grpc.aio.refusals import decode
from dagrun_grpc.limits import MAX_MESSAGE, Patience
from dagrun_grpc.testing import LIMIT, answer, of_orchestrator
from dagrun_grpc.wire.dagrun import v1


class Newer(Asking):
    """Answers by itself, as a server of another release might."""

    def __init__(self, *replies):
        super().__init__(
            Bridge(), "example:1", context=None, metadata={}, patience=Patience(handshake=1)
        )
        self._given = replies

    @asynccontextmanager
    async def stream(self, call, request):
        async def given():
            for reply in self._given:
                yield reply

        await trio.lowlevel.checkpoint()
        async with aclosing(given()) as replies:
            yield replies


def unknown(**fields):
    run = v1.Run(run_id="r", status="succeeded", created_at="2026-01-01T00:00:00Z")
    for name, value in fields.items():
        setattr(run, name, value)
    return run


@pytest.mark.parametrize(
    ("ask", "replies"),
    [
        (lambda m: m.runs.start("w"), [v1.StartRunResponse(run=unknown(status="dreaming"))]),
        (lambda m: m.runs.start("w"), [v1.StartRunResponse()]),
        (lambda m: m.runs.start("w"), [v1.StartRunResponse(run=unknown(created_at="soon"))]),
        (lambda m: m.runs.start("w"), []),
        (lambda m: m.runs.list(), [v1.ListRunsResponse(items=[unknown(status="dreaming")])]),
        (lambda m: m.runs.get("r"), []),
        (lambda m: m.runs.get("r"), [v1.GetRunResponse(run=b"{}")]),
        (lambda m: m.runs.cancel("r"), [v1.CancelRunResponse()]),
        (lambda m: m.workflows.get("w"), []),
        (lambda m: m.runs.workflow_of("r"), []),
    ],
)
async def test_an_answer_that_cannot_be_read_is_the_servers(ask, replies):
    with pytest.raises(RemoteError, match=r"^example:1: "):
        await ask(ManagementClient(Newer(*replies)))


async def take(stream, error=None):
    """Read a stream to its end, and raise something of one's own for each answer."""
    async with stream as answers:
        async for _ in answers:
            if error is not None:
                raise error


@pytest.mark.parametrize(
    ("open_stream", "reply"),
    [
        (
            lambda m: m.runs.journal("r"),
            v1.StreamJournalResponse(events=v1.Part(data=b"[[", last=True)),
        ),
        (lambda m: m.events.follow(Wanted()), v1.StreamEventsResponse()),
    ],
)
async def test_a_part_of_a_stream_that_cannot_be_read_is_the_servers(open_stream, reply):
    with pytest.raises(RemoteError, match=r"^example:1: "):
        await take(open_stream(ManagementClient(Newer(reply))))


async def test_what_a_reader_of_a_stream_raises_is_not_the_servers():
    management = ManagementClient(Newer(v1.StreamJournalResponse(events=v1.Part(last=True))))
    with pytest.raises(ValueError, match="mine"):
        await take(management.runs.journal("r"), ValueError("mine"))


ODD = "\ud800"


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda m: m.runs.get(ODD), "run_id"),
        (lambda m: m.runs.start(ODD), "workflow_id"),
        (lambda m: m.runs.start("w", priority=2**63), "priority"),
        (lambda m: m.runs.start("w", {"a": ODD}), "inputs"),
        (lambda m: m.workflows.register(b"", metadata={"a": ODD}), "metadata"),
        (lambda m: m.workflows.register(b"", files={"a": ODD}), "document"),
        (lambda m: m.runs.list(limit=0), "limit"),
        (lambda m: m.workflows.list(limit=-1), "limit"),
        (lambda m: m.events.list(Wanted(types=(ODD,))), "filter"),
        (lambda m: m.events.list(Wanted(), limit=10**9), "limit"),
    ],
)
async def test_what_cannot_be_sent_is_named_before_anybody_is_called(ask, field):
    async with grpc(connection_timeout=1) as transport, transport.manage("127.0.0.1:1") as server:
        with pytest.raises(InputError, match=f"^{field}: "):
            await ask(server)


@pytest.mark.parametrize("encoded", ["!", "AAAA", "CgD/", "Cv8=", "\ud800", "gAE="])
def test_details_of_an_error_that_cannot_be_read_leave_its_status(encoded):
    error = decode(str(Status.NOT_FOUND.value), "there is none", encoded)
    assert isinstance(error, errors.DagrunError)


@pytest.mark.parametrize("status", ["17", "99", "²", "-1", "x", "9" * 5000])
def test_a_status_that_nobody_knows_is_an_error_of_the_server(status):
    assert isinstance(decode(status, "text", None), RemoteError)


async def test_an_answer_that_is_too_large_is_the_servers(monkeypatch):
    async def engines():
        await trio.lowlevel.checkpoint()
        said = {"id": "e", "address": "", "status": "idle", "capacity": 1, "active_runs": 0}
        return [EngineView(**said, labels={"much": "x" * MAX_MESSAGE})]

    monkeypatch.setattr(answering, "_check_size", lambda _reply: None)
    offered = of_orchestrator(management=SimpleNamespace(engines=SimpleNamespace(list=engines)))
    async with grpc(port=0) as listens, grpc() as dials, trio.open_nursery() as nursery:
        serve = partial(listens.serve_orchestrator, answer, offered=offered)
        address = await nursery.start(serve)
        async with dials.manage(address) as server:
            with (
                trio.fail_after(LIMIT),
                pytest.raises(RemoteError, match=f"^{address}: .* at most"),
            ):
                await server.engines.list()
        nursery.cancel_scope.cancel()

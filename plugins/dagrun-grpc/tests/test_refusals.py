"""Errors at the end of a call are the same errors at its beginning."""

import pytest
import trio
from grpclib import Status

from dagrun import errors
from dagrun.errors import (
    ConflictError,
    DefinitionError,
    InputError,
    LimitReached,
    NotAllowed,
    NotFound,
    Problem,
    RunOwned,
    StillNeeded,
    StoreBusy,
    UnknownPlugin,
    Unreachable,
)
from dagrun_grpc import grpc
from dagrun_grpc.aio.refusals import ROOM, decode, encode, status_of

SOME = [
    NotFound("there is no run 'é'"),
    ConflictError("it is so"),
    RunOwned("r", 17),
    LimitReached("w", "w/k", 2),
    StillNeeded("w", ["v 1.0.0", "u 2.0.0"]),
    UnknownPlugin("store", "x", ["memory", "sqlite"]),
    StoreBusy("it is held"),
    NotAllowed("this needs the role admin"),
    NotAllowed.for_want_of("operator", "engine"),
]


def passed_on(error):
    message = bytes(encode(error))
    import base64

    return decode(
        str(status_of(error).value), "short", base64.b64encode(message).decode().rstrip("=")
    )


@pytest.mark.parametrize("error", SOME, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_type_its_message_and_what_it_knows(error):
    again = passed_on(error)
    assert (type(again), str(again), again.code) == (type(error), str(error), error.code)
    assert vars(again) == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(error).items()
    }


@pytest.mark.parametrize("kind", [DefinitionError, InputError])
def test_problems_keep_their_places(kind):
    problems = (
        Problem(message="é", path="spec.nodes[3]", line=4, column=7, suggestion="x"),
        Problem(message="whole"),
    )
    again = passed_on(kind(problems))
    assert (type(again), again.problems) == (kind, problems)


def test_more_problems_than_there_is_room_for_are_counted():
    problems = [Problem(message="é" * 100, line=number) for number in range(1000)]
    encoded = encode(DefinitionError(problems))
    assert len(bytes(encoded)) <= ROOM
    assert len(encoded.problems) + encoded.left_out == 1000
    again = passed_on(DefinitionError(problems))
    assert again.problems[-1].message == f"and {encoded.left_out} things more"


def test_every_error_has_a_status_of_its_own_kind():
    missing = [
        kind
        for kind in (vars(errors)[name] for name in dir(errors) if name[0].isupper())
        if isinstance(kind, type)
        and issubclass(kind, errors.DagrunError)
        and status_of(kind.__new__(kind)) is Status.UNKNOWN
    ]
    of_nodes = {errors.NodeError, errors.HostTrouble, errors.SecretError}
    of_runs = {errors.DagrunError, errors.RunFailed} | of_nodes
    assert set(missing) <= of_runs


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.NOT_FOUND, NotFound),
        (Status.INVALID_ARGUMENT, InputError),
        (Status.UNAVAILABLE, Unreachable),
        (Status.UNIMPLEMENTED, errors.RemoteError),
    ],
)
def test_a_server_that_says_only_a_status_is_understood(status, kind):
    assert isinstance(decode(str(status.value), "text", None), kind)
    assert isinstance(decode(str(status.value), "text", "no base64 é"), kind)


async def test_a_server_that_is_not_there_cannot_be_reached():
    async with grpc(connection_timeout=2) as transport, transport.manage("127.0.0.1:1") as server:
        for ask in (server.engines.list, server.runs.list, server.workflows.list):
            with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1: "):
                await ask()
        with pytest.raises(Unreachable):
            async with server.runs.journal("r"):
                pass


async def test_a_server_that_says_nothing_cannot_be_reached():
    (silent,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = silent.socket.getsockname()[1]
    from dagrun_grpc.limits import Patience

    patience = Patience(handshake=0.5, keepalive=0.2, answer=0.3)
    async with (
        silent,
        grpc(patience=patience) as transport,
        transport.manage(f"127.0.0.1:{port}") as server,
    ):
        with trio.fail_after(5), pytest.raises(Unreachable):
            await server.engines.list()


async def test_an_address_that_is_none_is_a_mistake_of_the_operator():
    async with grpc() as transport:
        with pytest.raises(errors.ConfigError):
            async with transport.manage("nowhere"):
                pass

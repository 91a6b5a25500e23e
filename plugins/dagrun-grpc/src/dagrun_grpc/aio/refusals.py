"""Errors of dagrun at the end of a call, and what they were there."""

import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from grpclib import Status
from grpclib.server import Stream

from dagrun import errors
from dagrun.errors import DagrunError, DefinitionError, InputError, Problem, Unreachable
from dagrun_grpc.wire.dagrun import v1

KEY: Final = "dagrun-error-bin"
"""Metadata that holds an encoded Error."""

LEFT_OUT: Final = "left_out"
"""Attribute of an error that came over the wire: how many of its problems did not."""

ROOM: Final = 4 * 1024  # bytes of it; clients usually take 8 KiB of metadata
MESSAGE: Final = 1000  # characters of a message in it
SHORT: Final = 300  # characters of the message beside the status; each may become twelve

_STATUS: Final[tuple[tuple[type[DagrunError], Status], ...]] = (
    (errors.DefinitionError, Status.INVALID_ARGUMENT),
    (errors.InputError, Status.INVALID_ARGUMENT),
    (errors.NotFound, Status.NOT_FOUND),
    (errors.LimitReached, Status.RESOURCE_EXHAUSTED),
    (errors.QueueFull, Status.RESOURCE_EXHAUSTED),
    (errors.ConflictError, Status.FAILED_PRECONDITION),
    (errors.ConfigError, Status.FAILED_PRECONDITION),
    (errors.NotAuthenticated, Status.UNAUTHENTICATED),
    (errors.AccessError, Status.PERMISSION_DENIED),
    (errors.StoreFull, Status.RESOURCE_EXHAUSTED),
    (errors.StoreBusy, Status.UNAVAILABLE),
    (errors.StoreCorrupt, Status.DATA_LOSS),
    (errors.StoreError, Status.INTERNAL),
    (errors.RemoteError, Status.UNAVAILABLE),
)
"""The first one that fits counts."""

_NUMBERS: Final = {str(status.value): status for status in Status}

_WITHOUT_DETAILS: Final[Mapping[Status, type[DagrunError]]] = {
    Status.NOT_FOUND: errors.NotFound,
    Status.FAILED_PRECONDITION: errors.ConflictError,
    Status.UNAUTHENTICATED: errors.NotAuthenticated,
    Status.PERMISSION_DENIED: errors.NotAllowed,
    Status.UNAVAILABLE: Unreachable,
}


def _kinds(root: type[DagrunError]) -> Iterable[type[DagrunError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


_KINDS: Final[dict[str, type[DagrunError]]] = {}
for _kind in _kinds(DagrunError):
    if _kind.__module__ == errors.__name__:
        _KINDS.setdefault(_kind.code, _kind)  # one that shares its parent's word is its parent


def status_of(error: DagrunError) -> Status:
    """Give the status of gRPC that stands for an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), Status.UNKNOWN)


async def refuse(stream: Stream[Any, Any], error: DagrunError) -> None:
    """End a call with an error, in asyncio."""
    text = str(error)
    await stream.send_trailing_metadata(
        status=status_of(error),
        status_message=text if len(text) <= SHORT else text[: SHORT - 1] + "…",
        metadata={KEY: bytes(encode(error))},
    )


def encode(error: DagrunError) -> v1.Error:
    """Write an error down, as much of it as there is room for."""
    problems = tuple(getattr(error, "problems", ()))
    text = "" if problems else str(error)
    message = v1.Error(type=error.code, message=text[:MESSAGE], details=_details(error))
    left = ROOM - len(bytes(message))
    for problem in problems:
        shown = problem_to_wire(problem)
        left -= len(bytes(shown)) + 8
        if left < 0:
            break
        message.problems.append(shown)
    message.left_out = len(problems) - len(message.problems)
    return message


def _details(error: DagrunError) -> bytes:
    """Give the attributes of an error that JSON can hold; none of them if they are too many."""
    known = {name: value for name, value in vars(error).items() if name != "problems"}
    with suppress(TypeError, ValueError):
        encoded = msgspec.json.encode(known)
        if known and len(encoded) <= ROOM // 2:
            return encoded
    return b""


def status_told(text: str) -> Status:
    """Read the number of a status."""
    return _NUMBERS.get(text, Status.UNKNOWN)


def decode(status: str, text: str, encoded: str | None) -> DagrunError:
    """Make the error again with which a call has ended.

    Args:
        status: number of the status.
        text: the message beside it.
        encoded: what the metadata :data:`KEY` says; None for nothing.
    """
    known = status_told(status)
    if encoded is not None:
        with suppress(Exception):  # whatever is wrong with it, the status says something, too
            padded = encoded + "=" * (-len(encoded) % 4)
            return _made(v1.Error.parse(base64.b64decode(padded)), text)
    if known is Status.INVALID_ARGUMENT:
        return InputError([Problem(message=text)])
    kind = _WITHOUT_DETAILS.get(known, errors.RemoteError)
    return kind(f"{text or 'no reason given'} ({known.name})")


def _made(message: v1.Error, text: str) -> DagrunError:
    kind = _KINDS.get(message.type, errors.RemoteError)
    if issubclass(kind, DefinitionError | InputError):
        problems = [problem_from_wire(problem) for problem in message.problems]
        if message.left_out:
            problems.append(Problem(message=f"and {message.left_out} things more"))
        wrong = kind(problems or [Problem(message=message.message or text)])
        vars(wrong)[LEFT_OUT] = message.left_out
        return wrong
    error = kind.__new__(kind)  # without its arguments: what they became is in the details
    error.args = (message.message,)
    vars(error).update(msgspec.json.decode(message.details, type=dict) if message.details else {})
    return error


def problem_to_wire(problem: Problem) -> v1.Problem:
    """Write a problem down. The server knows of no file."""
    return v1.Problem(
        message=problem.message,
        path=problem.path,
        line=problem.line,
        column=problem.column,
        suggestion=problem.suggestion,
    )


def problem_from_wire(problem: v1.Problem) -> Problem:
    """Read a problem."""
    return Problem(
        message=problem.message,
        path=problem.path,
        line=problem.line,
        column=problem.column,
        suggestion=problem.suggestion,
    )

"""How the processes that share a data directory ask things of each other's runs.

Each owner listens on ``<data>/owners/<id>.sock``, beside its lock. A request is one line of JSON,
``{"do": …, "run_id": …}`` with texts for values, and so is the answer, ``{"result": …}`` or
``{"error": {type, message}}``.
Only processes of the same user, or of root, are answered.
"""

import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from dagrun.builtin.ownership import FOLDER
from dagrun.domain.ids import is_id
from dagrun.errors import (
    ConfigError,
    ConflictError,
    DagrunError,
    NotFound,
    RemoteError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
    sole,
)

MAX_LINE: Final = 64 * 1024  # bytes of a request or an answer
MAX_TEXT: Final = 16 * 1024  # characters of a value in a request
PATIENCE: Final = 10.0  # seconds for a request to arrive, and for an answer
BACKLOG: Final = 64
ROOT: Final = 0  # user id
_CREDENTIALS: Final = struct.Struct("3i")
_KINDS: Final = (
    ConfigError,
    ConflictError,
    NotFound,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
)
_ERRORS: Final[Mapping[str, type[DagrunError]]] = {
    **{kind.code: kind for kind in _KINDS},
    "run_owned": ConflictError,  # these two are made of more than a message
    "limit_reached": ConflictError,
}
"""What an answer calls an error → what is raised where it was asked; else a RemoteError."""

_log: Final = logging.getLogger(__name__)

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]


class Control:
    """Answers what other processes ask.

    Whatever is asked, and whatever comes of it, the process goes on.

    Args:
        data_dir: the data directory.
        owner: this process's owner id.
        answer: gives the result of a request, name → text; its
            :class:`~dagrun.errors.DagrunError` is sent.
    """

    def __init__(self, data_dir: Path, owner: str, answer: Answer) -> None:
        self._folder, self._name = data_dir / FOLDER, f"{owner}.sock"
        self._answer = answer

    async def run(
        self, *, task_status: trio.TaskStatus["Control"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer until cancelled."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
            (self._folder / self._name).unlink(missing_ok=True)  # of a life that was killed
            with _short(self._folder, self._name) as path:
                plain.bind(path)
            (self._folder / self._name).chmod(0o600)
            plain.listen(BACKLOG)
            plain.setblocking(False)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(plain))
            task_status.started(self)  # it takes connections since listen()
            try:
                await trio.serve_listeners(self._serve, [listener])
            finally:
                (self._folder / self._name).unlink(missing_ok=True)

    async def _serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
            async with stream:
                if not _is_trusted(stream):
                    return
                with trio.move_on_after(PATIENCE):
                    line = await _read_line(stream)
                    await stream.send_all(_line(await self._reply(line)))

    async def _reply(self, line: bytes) -> Mapping[str, Any]:
        try:
            return {"result": await self._answer(_request(line))}
        except Exception as error:  # noqa: BLE001 — one that asks must not end the one that answers
            cause = sole(error)
            if isinstance(cause, DagrunError):
                return {"error": {"type": cause.code, "message": str(cause)}}
            _log.error("a request of another process failed", exc_info=error)
            message = f"it failed with {type(cause).__name__}: {cause}"
            return {"error": {"type": "internal", "message": message}}


def _request(line: bytes) -> Mapping[str, str]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"no request: {error}") from error
    if not isinstance(request, dict):
        raise RemoteError("no request: an object is needed")
    for name, value in request.items():
        _check_text(name)
        _check_text(value)
    return request


def _check_text(value: object) -> None:
    """Refuse what is no text, what no database can hold, and what is too long."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise RemoteError(f"no request: texts of at most {MAX_TEXT} characters are needed")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RemoteError(f"no request: a text is no Unicode: {error.reason}") from error


async def ask(data_dir: Path, owner: str, request: Mapping[str, str]) -> Any:
    """Ask the live owner of a run for something, and give the result.

    Raises:
        RemoteError: it does not answer, or could not do it.
        ConflictError: it refuses.
        DagrunError: of the kind that it met itself, such as
            :class:`~dagrun.errors.StoreFull`.
    """
    if not is_id(owner):
        raise RemoteError(f"{owner!r} is no owner of a run")
    answer = b""
    try:
        with trio.fail_after(PATIENCE), _short(data_dir / FOLDER, f"{owner}.sock") as path:
            async with await trio.open_unix_socket(path) as stream:
                await stream.send_all(_line(request))
                answer = await _read_line(stream)
        reply = json.loads(answer)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError, ValueError) as error:
        raise RemoteError(f"the process that executes the run does not answer: {error}") from error
    return _result(reply)


def _result(reply: Any) -> Any:
    """Give the result of a reply.

    Raises:
        DagrunError: the error that it tells of instead.
    """
    match reply:
        case {"error": {"type": str(kind), "message": str(message)}}:
            raise _ERRORS.get(kind, RemoteError)(message)
        case {"result": result}:
            return result
    raise RemoteError("the process that executes the run answers something else")


@contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    """Give a path of few bytes: that of a socket may have 107, and folders may be deep."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def _is_trusted(stream: trio.SocketStream) -> bool:
    data = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return user in (ROOT, os.geteuid())


async def _read_line(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = await stream.receive_some(MAX_LINE)
        if not chunk or len(data) + len(chunk) > MAX_LINE:
            raise ValueError("the line is cut short, or too long")
        data += chunk
    return bytes(data)


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"

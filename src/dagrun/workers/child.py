"""The worker's side: answer requests on standard input until it ends. Imports next to nothing.

A frame is 4 bytes of length, little-endian, and the body; both directions use the socket that is
descriptor 0. A request's body begins with 8 bytes that number it, and so does the body of its
reply. What the worker prints goes to the log of the request that it works on.
"""

import fcntl
import os
import sys
from collections.abc import Callable

from dagrun.workers.descriptors import write_all

HEAD = 4  # bytes
NUMBER = 8  # bytes
HIGH = 50  # descriptors; no code takes such a one for a file of its own by accident


def _nothing() -> None:
    """Prepare nothing."""


def serve(handle: Callable[[bytes], bytes], prepare: Callable[[], None] = _nothing) -> None:
    """Call ``handle`` with each request and send what it returns, until the engine is gone.

    Standard input becomes ``/dev/null``, so that no code reads, and no child inherits, requests.
    ``prepare`` is called before each request, while nobody waits for an answer.
    """
    engine, own = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, HIGH), os.getpid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    prepare()
    while (request := read_frame(engine)) is not None:
        reply = _reply(handle, request[NUMBER:], own)
        flush()
        try:
            write_frame(engine, request[:NUMBER] + reply)
        except OSError:  # nobody waits for it any more
            return
        prepare()


def _reply(handle: Callable[[bytes], bytes], body: bytes, own: int) -> bytes:
    """Call ``handle``. A child that the node's code forked ends here, and does not answer, too."""
    try:
        reply = handle(body)
    except BaseException as error:
        if os.getpid() != own:
            _leave(error)
        raise
    if os.getpid() != own:
        _leave(None)
    return reply


def _leave(error: BaseException | None) -> None:
    """End this process as a program ends that comes to its end, or raises an error."""
    code = 0
    try:
        if isinstance(error, SystemExit):
            code = _exit_code(error.code)
        elif error is not None:
            code = 1
            sys.excepthook(type(error), error, error.__traceback__)
        flush()
    finally:
        os._exit(code)


def _exit_code(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def read_frame(fd: int) -> bytes | None:
    """Read one frame; None when the other side has closed."""
    head = read_exactly(fd, HEAD)
    return None if head is None else read_exactly(fd, int.from_bytes(head, "little"))


def read_exactly(fd: int, count: int) -> bytes | None:
    """Read ``count`` bytes; None when the other side has closed before."""
    data = bytearray()
    while len(data) < count:
        try:
            chunk = os.read(fd, min(count - len(data), 1 << 20))
        except ConnectionResetError:
            return None
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def write_frame(fd: int, body: bytes) -> None:
    """Write one frame, as soon as the other side has room for it.

    Raises:
        OSError: the other side has closed.
    """
    write_all(fd, len(body).to_bytes(HEAD, "little") + body)


def flush() -> None:
    """Push out what was printed, so that it is there before the reply."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:  # noqa: BLE001, S112 — the node's code may have put anything there
            continue

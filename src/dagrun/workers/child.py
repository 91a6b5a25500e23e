"""The worker's side: answer requests on standard input until it ends. Imports next to nothing.

A frame is 4 bytes of length, little-endian, and the body; both directions use the socket that is
descriptor 0. What the worker prints goes to the log of the request that it works on.
"""

import os
import sys
from collections.abc import Callable

HEAD = 4  # bytes


def _nothing() -> None:
    """Prepare nothing."""


def serve(handle: Callable[[bytes], bytes], prepare: Callable[[], None] = _nothing) -> None:
    """Call ``handle`` with each request and send what it returns, until the engine is gone.

    Standard input becomes ``/dev/null``, so that no code reads, and no child inherits, requests.
    ``prepare`` is called before each request, while nobody waits for an answer.
    """
    engine = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    prepare()
    while (request := read_frame(engine)) is not None:
        reply = handle(request)
        flush()
        try:
            write_frame(engine, reply)
        except OSError:  # nobody waits for it any more
            return
        prepare()


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
    data = memoryview(len(body).to_bytes(HEAD, "little") + body)
    while data:
        data = data[os.write(fd, data) :]


def flush() -> None:
    """Push out what was printed, so that it is there before the reply."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed or replaced by the node's code
            continue

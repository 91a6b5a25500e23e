"""The files through which a program and dagrun talk, and its standard input."""

import os
import stat
from typing import Any

from dagrun.domain.jsonvalue import MAX_OUTPUT, NotJson, Raw, decode, parse
from dagrun.errors import NodeError
from dagrun.ports.executor import Context
from dagrun.workers.descriptors import write_all
from dagrun.workers.host import host_trouble


class Files:
    """The files through which a program and dagrun talk, in the scratch directory."""

    def __init__(self, context: Context) -> None:
        item = "" if context.item_index is None else f".{context.item_index}"
        # The epoch keeps apart what a killed engine left, and the same attempt made again.
        number = f"{context.epoch}.{context.attempt}"
        self._stem = f"{context.scratch}/{context.node_id}{item}.{number}"
        self.inputs, self.output = self._stem + ".inputs.json", self._stem + ".output.json"

    def env(self) -> dict[str, str]:
        """Give the variables that tell a program where they are."""
        return {"DAGRUN_INPUTS": self.inputs, "DAGRUN_OUTPUT": self.output}

    def write_inputs(self, inputs: Raw) -> None:
        """Write what the program may read.

        Raises:
            HostTrouble: it cannot be written now.
        """
        with host_trouble():
            _write(self.inputs, bytes(inputs))

    def read_outputs(self) -> dict[str, Any]:
        """Give what the program wrote.

        Raises:
            NodeError: it is no JSON object, or too large (type ``output``).
        """
        data = _read(self.output, MAX_OUTPUT + 1)
        if not data.strip():
            return {}
        try:
            outputs = decode(parse(data))
        except NotJson as error:
            raise NodeError("output", f"the file DAGRUN_OUTPUT is refused: {error}") from error
        if not isinstance(outputs, dict):
            raise NodeError("output", "the file DAGRUN_OUTPUT holds no JSON object")
        return outputs

    def remove(self) -> None:
        """Remove those that are there."""
        for path in (self.inputs, self.output):
            try:
                os.unlink(path)  # noqa: PTH108 — ten times as fast, once for every node
            except OSError:
                continue


def open_stdin(text: str) -> int:
    """Give a descriptor to read ``text`` from; a pipe may not hold it, and no disk should."""
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        write_all(fd, text.encode())
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def _read(path: str, limit: int) -> bytes:
    """Read a regular file, at most ``limit`` bytes; a missing one is empty."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not block
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise NodeError("output", f"the file DAGRUN_OUTPUT cannot be read: {error}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NodeError("output", "DAGRUN_OUTPUT is no regular file")
        return _read_all(fd, limit)
    finally:
        os.close(fd)


def _read_all(fd: int, limit: int) -> bytes:
    data = b""
    while len(data) < limit and (chunk := os.read(fd, limit - len(data))):
        data += chunk
    return data

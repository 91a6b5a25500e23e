"""The providers of secrets ``env`` and ``file``. What is not meant for documents stays unread."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import trio

from dagrun.domain.secret_forms import MAX_VALUE
from dagrun.errors import SecretError
from dagrun.ports.secrets import VARIABLE_PREFIX

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST: Final = 1024  # characters of a path, a quarter of what Linux allows


class EnvSecrets:
    """Reads variables of the engine's own environment.

    Only those that begin with ``DAGRUN_SECRET_``, which the reference leaves out. Everything else
    in the environment of the operator is none of a document's business.

    Args:
        environ: the environment.
    """

    early: ClassVar[bool] = True

    def __init__(self, *, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    async def get(self, reference: str) -> str:
        """Give the value of the variable ``DAGRUN_SECRET_<reference>``."""
        if not _VARIABLE.fullmatch(reference):
            raise SecretError("the reference is no name of a variable")
        value = self._environ.get(VARIABLE_PREFIX + reference)
        await trio.lowlevel.checkpoint()
        if value is None:
            raise SecretError(f"the variable {VARIABLE_PREFIX + reference} is not set")
        return value


class FileSecrets:
    """Reads files below one directory, such as those that Kubernetes and Docker mount.

    A symbolic link may lead to another place in the directory, as Kubernetes makes them, and
    nowhere else.

    Args:
        secrets_dir: where the files are; None refuses every secret.
    """

    settings: ClassVar[tuple[str, ...]] = ("secrets_dir",)
    early: ClassVar[bool] = True

    def __init__(self, *, secrets_dir: Path | None = None) -> None:
        self._directory = secrets_dir

    async def get(self, reference: str) -> str:
        """Give what the file holds, without one line break at its end."""
        if self._directory is None:
            raise SecretError("no directory is set; name it with --secrets-dir")
        if not _PATH.fullmatch(reference) or len(reference) > _LONGEST:
            raise SecretError("the reference is no path below the directory of secrets")
        data = await trio.to_thread.run_sync(_read, self._directory, reference)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise SecretError("the file holds no UTF-8 text; keep it as base64") from None
        return text.removesuffix("\r\n" if text.endswith("\r\n") else "\n")


def _read(directory: Path, name: str) -> bytes:
    path = directory / name
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not block
        try:
            _check(fd, directory)
            with os.fdopen(fd, "rb", closefd=False) as file:
                data = file.read(MAX_VALUE + 3)
        finally:
            os.close(fd)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror or error}") from error
    if len(data) > MAX_VALUE + 2:
        raise SecretError(f"the file has more than {MAX_VALUE} bytes")
    return data


def _check(fd: int, directory: Path) -> None:
    """Check what was opened, not what a path said before: links may change at any time."""
    real = Path(f"/proc/self/fd/{fd}").readlink()
    if not real.is_relative_to(directory.resolve()):
        raise SecretError("the file is a link that leaves the directory of secrets")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise SecretError("it is no regular file")

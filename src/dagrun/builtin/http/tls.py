"""Whom a node trusts, and what it shows of itself."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagrun.builtin.http.options import HttpOptions
from dagrun.errors import NodeError


def system_context() -> ssl.SSLContext:
    """Trust whom the system trusts, or ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name."""
    return ssl.create_default_context()


def own_context(options: HttpOptions, base: Path) -> ssl.SSLContext:
    """Do what a node's options say. Reads files, relative ones in the folder ``base``.

    Raises:
        NodeError: ``file``, for one that cannot be read, or holds something else.
    """
    context = _trusting(options, base)
    if options.cert_file is not None:
        key = options.key_file or options.cert_file
        with _naming("cert_file"):
            # Without a password the library would ask for one, on the terminal.
            context.load_cert_chain(
                _regular(base / options.cert_file), _regular(base / key), password=""
            )
    return context


def _trusting(options: HttpOptions, base: Path) -> ssl.SSLContext:
    if options.ca_file is not None:
        with _naming("ca_file"):
            return ssl.create_default_context(cafile=_regular(base / options.ca_file))
    if options.verify:
        return system_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _regular(path: Path) -> Path:
    """Refuse what may block for ever, such as a pipe."""
    path.stat()
    if not path.is_file():
        raise OSError(f"{path} is no file")
    return path


@contextmanager
def _naming(option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        name = getattr(error, "filename", None)
        raise NodeError("file", f"{option}: {f'{name}: ' if name else ''}{reason}") from error

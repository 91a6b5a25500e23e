"""Certificates and keys as the contexts that ``ssl`` wants."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from dagrun.errors import ConfigError

C = TypeVar("C", bound=ssl.SSLContext)


class ClientContext(ssl.SSLContext):
    """What a client needs."""

    shows_certificate = False
    """Whether it has a certificate for a server that asks for one."""


@attrs.frozen(kw_only=True)
class Files:
    """Where certificates and keys are, in PEM.

    Raises:
        ConfigError: there is a certificate without a key, or the other way round.
    """

    cert: Path | None = None
    """This side's certificate, and those in between."""

    key: Path | None = None
    """Its key."""

    ca: Path | None = None
    """Who signs the certificates of others; when serving, others must have one."""

    def __attrs_post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ConfigError("tls_cert and tls_key belong together")

    def for_server(self) -> ssl.SSLContext | None:
        """Make what a server needs; None without TLS.

        Raises:
            ConfigError: a file is missing or holds something else.
        """
        if self.cert is None and self.ca is None:
            return None
        if self.cert is None:
            raise ConfigError("serving with tls_ca needs tls_cert and tls_key, too")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return self._filled(context)

    def for_client(self) -> ClientContext | None:
        """Make what a client needs; None without TLS. Raises as :meth:`for_server`."""
        if self.cert is None and self.ca is None:
            return None
        context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        context.shows_certificate = self.cert is not None
        return self._filled(context)

    def _filled(self, context: C) -> C:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        if self.ca is not None:
            _load(self.ca, lambda: context.load_verify_locations(self.ca))
        for path in (self.cert, self.key):
            if path is not None:
                _load(path, path.read_bytes)  # lest an error names the other one
        if (cert := self.cert) is not None:
            _load(cert, lambda: context.load_cert_chain(cert, self.key, _no_password))
        return context


def _load(path: Path, load: Callable[[], object]) -> None:
    try:
        load()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be used for TLS: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        missing = "there is no certificate in PEM form, or no key that belongs to it"
        return f"{missing} ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)


def _no_password() -> str:
    raise ValueError("the key is encrypted")

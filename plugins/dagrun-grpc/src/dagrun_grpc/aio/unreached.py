"""Why there is no connection, in words for people."""

import os
import socket
from typing import Final

from dagrun_grpc.tls import ClientContext

_PLAIN: Final = (OSError, TimeoutError, PermissionError)
"""Errors of the system, and not of TLS, which says more about itself."""


def unheard(context: ClientContext | None) -> str:
    """Say what may be wrong with a server that ends a connection before it says a word.

    Args:
        context: how it was called; None without TLS.
    """
    if context is None:
        why = "only with TLS: then name who signed its certificate with --tls-ca, or DAGRUN_TLS_CA"
    elif context.shows_certificate:
        why = "does not accept the certificate of --tls-cert"
    else:
        why = "asks for a certificate: then show one with --tls-cert and --tls-key"
    return f"it serves no gRPC, or {why}"


def unreached(error: Exception) -> str:
    """Say why somebody could not be connected to.

    What asyncio says of a connection that is refused is how it tried, with the address once more.

    >>> unreached(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"))
    'nobody listens there'
    >>> unreached(OSError(113, "Connect call failed ('192.0.2.1', 1)"))
    'No route to host'
    """
    match error:
        case ConnectionRefusedError():
            return "nobody listens there"
        case socket.gaierror(strerror=str(why)):
            return why
        case OSError(errno=int(number)) if type(error) in _PLAIN:
            return os.strerror(number)
    return str(error) or repr(error)

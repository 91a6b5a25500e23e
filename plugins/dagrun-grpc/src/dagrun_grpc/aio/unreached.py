"""Why there is no connection, in words for people."""

import os
import socket
from typing import Final

_PLAIN: Final = (OSError, TimeoutError, PermissionError)
"""Errors of the system, and not of TLS, which says more about itself."""


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

"""What a connection may cost, and how long one waits for the other side."""

from typing import Final

import attrs

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of one message. Who announces a longer one is cut off before any of it is kept."""

MAX_OF_STRANGERS: Final = 1024
"""Bytes of a message of a call that anybody may make: the name of a service, and nothing more."""

MAX_DOCUMENT: Final = 8 * 1024 * 1024
"""Bytes of a message that brings a document: it may have 4 MiB itself, and its files need room, too.
In JSON it becomes six times as long at most, which still fits in :data:`MAX_FRAMES`."""

MAX_FIELDS: Final = 20_000
"""Fields of a request, and of all that is in it: reading them takes a tenth of a second."""

MAX_FIELDS_OF_FRAMES: Final = 200_000
"""Fields of frames that travel together."""

PART: Final = 1024 * 1024
"""Bytes of the stream's messages; what is longer travels in parts of this size."""

MAX_FRAMES: Final = 64 * 1024 * 1024
"""Bytes that the parts of a message may have together, and so a frame."""

WINDOW: Final = 1024 * 1024
"""Bytes that one side of a connection may send before the other has read them."""

MAX_UNSENT: Final = 1024 * 1024
"""Bytes that wait to be written. More is only there if the peer asks, and does not read."""

MAX_STREAMS: Final = 100
"""Calls that are open on a connection at once."""

LARGE_AT_ONCE: Final = 10
"""Calls whose answers may have megabytes that are answered at once on a connection; others wait."""

MAX_UNFINISHED: Final = 2 * MAX_STREAMS
"""Calls on a connection that were taken back, or are open, and whose tasks have not ended."""

BITE: Final = 16 * 1024
"""Bytes that are looked at before other connections have their turn."""

TURN: Final = 64
"""Frames of HTTP/2, as small as they may be, that are looked at before others have their turn."""

MAX_FRAMES_OF_STRANGERS: Final = 1000
"""Frames of HTTP/2 that a connection may bring before a call on it is let in."""

MAX_HEADERS: Final = 16 * 1024
"""Bytes of the headers of a call."""

MAX_TABLE: Final = 4096
"""Bytes of headers that were sent and are remembered for a connection: the usual number."""

CLOSING: Final = 1.0  # seconds that the other side gets to say that it has heard the last word


@attrs.frozen(kw_only=True)
class Patience:
    """How long a connection may be silent."""

    handshake: float = 30.0
    """Seconds from the connection to the first call that is let in, and for TLS."""

    keepalive: float = 5.0
    """Seconds of silence after which the other side is asked whether it is there."""

    answer: float = 10.0
    """Seconds that it gets for the answer."""

    idle: float = 60.0
    """Seconds for which an accepted connection may be without any call but for those of strangers."""

    recheck: float = 2.0
    """Seconds after which it is asked again whether who has an open stream may still have it."""

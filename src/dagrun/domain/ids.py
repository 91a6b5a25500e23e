"""Identifiers: what they are called, what they may look like, how a run's is made."""

import re
from base64 import b32hexencode
from datetime import UTC, datetime, timedelta
from typing import Final, NewType

RunId = NewType("RunId", str)

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What every id looks like. None of its characters means anything to a path or a shell."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BYTES: Final = 16
_TIME_BITS: Final = 58
RANDOM_BYTES: Final = 10
"""How many random bytes :func:`run_id` takes."""


def is_id(text: str) -> bool:
    """Whether ``text`` may stand as an id.

    >>> [is_id(text) for text in ("data-pipeline_2", "", "../etc", "a.b")]
    [True, False, False, False]
    """
    return ID_PATTERN.fullmatch(text) is not None


def is_engine_id(text: str) -> bool:
    """Whether ``text`` may be an engine's id: an id, or a host's name."""
    return is_id(text.replace(".", "-"))


def run_id(now: datetime, entropy: bytes) -> RunId:
    """Make the id of a run that sorts by time, to the microsecond.

    The layout is ULID's (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits. But
    ten of the latter are the microseconds, as RFC 9562 has it for UUIDs of version 7 (section 6.2,
    method 3), since it matters which of two runs is the older one. The digits are those of base 32
    with the extended hex alphabet (RFC 4648), in lower case, which sort as the numbers do.

    >>> from datetime import UTC
    >>> run_id(datetime(2026, 1, 1, tzinfo=UTC), entropy=bytes(RANDOM_BYTES))
    '06dndml8000000000000000000'

    Args:
        now: when the run was accepted, timezone-aware.
        entropy: :data:`RANDOM_BYTES` random bytes.
    """
    milliseconds, microseconds = divmod((now - _EPOCH) // _MICROSECOND, 1000)
    random_bits = 8 * _BYTES - _TIME_BITS
    random = int.from_bytes(entropy[:RANDOM_BYTES], "big") & ((1 << random_bits) - 1)
    both = ((milliseconds << 10 | microseconds) << random_bits | random).to_bytes(_BYTES, "big")
    return RunId(b32hexencode(both).rstrip(b"=").lower().decode())

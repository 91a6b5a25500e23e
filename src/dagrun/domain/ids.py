"""Identifiers: what they are called, what they may look like, how a run's is made."""

import re
from datetime import datetime
from typing import Final, NewType

WorkflowId = NewType("WorkflowId", str)
NodeId = NewType("NodeId", str)
RunId = NewType("RunId", str)

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What every id looks like. None of its characters means anything to a path or a shell."""

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_TIME_DIGITS: Final = 10
_RANDOM_DIGITS: Final = 16
RANDOM_BYTES: Final = _RANDOM_DIGITS * 5 // 8
"""How many random bytes :func:`run_id` takes."""


def is_id(text: str) -> bool:
    """Whether ``text`` may stand as an id."""
    return ID_PATTERN.fullmatch(text) is not None


def run_id(now: datetime, entropy: bytes) -> RunId:
    """Make the id of a run that sorts by time: 48 bits of milliseconds, 80 random bits.

    The layout is ULID's (https://github.com/ulid/spec), written in lower case.

    Args:
        now: when the run was accepted, timezone-aware.
        entropy: :data:`RANDOM_BYTES` random bytes.
    """
    milliseconds = int(now.timestamp() * 1000)
    return RunId(
        _digits(milliseconds, _TIME_DIGITS)
        + _digits(int.from_bytes(entropy[:RANDOM_BYTES], "big"), _RANDOM_DIGITS)
    )


def _digits(number: int, count: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (count - 1), -1, -5))

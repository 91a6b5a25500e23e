"""Durations as documents write them: ``30``, ``"30s"``, ``"5m"``, ``"1h30m"``, ``"250ms"``."""

import math
import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # in seconds
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_WHOLE: Final = re.compile(
    r"(?=.)" + "".join(rf"(?:\d+(?:\.\d+)?{unit})?" for unit in ("d", "h", "m", "s", "ms")),
    re.ASCII,
)
LONGEST: Final = 100 * 365 * 86400.0  # seconds; a hundred years fit every clock and timer


def parse_duration(value: object) -> float:
    """Turn a document's duration into seconds.

    >>> [parse_duration(written) for written in (30, "250ms", "1h30m")]
    [30.0, 0.25, 5400.0]

    Raises:
        ValueError: ``value`` is no duration; the message says what one looks like.
    """
    seconds = _seconds(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        text = repr(value)
        text = text if len(text) <= 60 else text[:57] + "..."
        raise ValueError(f"{text} is no duration: write seconds, or '30s', '5m', '1h30m'")
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(min(value, LONGEST + 1))
    if isinstance(value, str) and len(value) <= 64 and _WHOLE.fullmatch(value):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    return None


def format_duration(seconds: float) -> str:
    """Write seconds for a person.

    >>> [format_duration(seconds) for seconds in (0.416, 12.34, 59.99, 245, 3720)]
    ['0.42s', '12.3s', '1m00s', '4m05s', '1h02m']
    """
    if seconds < 59.95:
        return f"{seconds:.2f}s" if seconds < 9.995 else f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"

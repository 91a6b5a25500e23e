"""How rows travel to SQLite: many in one JSON text, which ``json_each`` takes apart there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode


def columns(count: int) -> str:
    """Give the first columns of a row, as SQL."""
    return ", ".join(f"value->>{index}" for index in range(count))


def text(rows: Any) -> str:
    """Write rows, or what is in a column that holds JSON.

    In a row such a column is a string, so that SQLite leaves it as it is.
    """
    return _encode(rows).decode()


def ids(rows: Sequence[Any]) -> str:
    """Write ids, each once."""
    return text(list(dict.fromkeys(rows)))


def time(moment: datetime | None) -> str | None:
    """Write all times with the same digits, so that they sort as text."""
    return None if moment is None else moment.isoformat(timespec="microseconds")

"""What callers give, checked before anything is done with it."""

from dagrun.domain.ids import RunId, is_id
from dagrun.errors import InputError, NoSuchRun, Problem
from dagrun.ports.management import MOST


def wrong(message: str, path: str = "") -> InputError:
    """Make the error for an argument."""
    return InputError([Problem(message=message, path=path)])


def check_limit(limit: int) -> None:
    """Refuse what is no limit of a list.

    Raises:
        InputError: it is none.
    """
    if not 1 <= limit <= MOST:
        raise wrong(f"a number from 1 to {MOST} is needed, not {limit}", "limit")


def check_cursor(cursor: str | None) -> None:
    """Refuse what cannot be a cursor: all are ids.

    Raises:
        InputError: it is none.
    """
    if cursor is not None and not is_id(cursor):
        raise wrong(f"{cursor[:200]!r} is no cursor", "cursor")


def run_id_of(text: str) -> RunId:
    """Give what may be the id of a run.

    Raises:
        NoSuchRun: it is none.
    """
    if not is_id(text):
        raise NoSuchRun(text[:200])
    return RunId(text)

"""The tokens that are accepted, and those that were."""

import sqlite3
from datetime import datetime

from dagrun.builtin.sqlite.read import moment
from dagrun.errors import ConflictError, NotFound
from dagrun.ports.tokens import Role, TokenRecord

_COLUMNS = "token_id, role, hash, note, created_at, expires_at, revoked_at"


def add_token(connection: sqlite3.Connection, token: TokenRecord) -> None:
    """Store a token.

    Raises:
        ConflictError: there is one with its id or its hash.
    """
    times = map(_text, (token.created_at, token.expires_at, token.revoked_at))
    row = (token.token_id, token.role, token.hash, token.note, *times)
    try:
        connection.execute(f"insert into tokens ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError as error:
        raise ConflictError(f"there is a token {token.token_id!r} already") from error


def read_tokens(connection: sqlite3.Connection) -> list[TokenRecord]:
    """Give all tokens, the oldest first."""
    rows = connection.execute(f"select {_COLUMNS} from tokens order by created_at, token_id")
    return [
        TokenRecord(
            token_id=row[0],
            role=Role(row[1]),
            hash=row[2],
            note=row[3],
            created_at=moment(row[4]),
            expires_at=None if row[5] is None else moment(row[5]),
            revoked_at=None if row[6] is None else moment(row[6]),
        )
        for row in rows
    ]


def revoke_token(connection: sqlite3.Connection, token_id: str, now: datetime) -> bool:
    """Accept a token no more. Give False if that was so before.

    Raises:
        NotFound: there is no such token.
    """
    changed = connection.execute(
        "update tokens set revoked_at = ? where token_id = ? and revoked_at is null",
        (_text(now), token_id),
    )
    if changed.rowcount:
        return True
    if connection.execute("select 1 from tokens where token_id = ?", (token_id,)).fetchone():
        return False
    raise NotFound(f"there is no token {token_id!r}")


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="microseconds")

"""``dagrun tokens``: who may call the orchestrator of the data directory."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import has_database, with_store
from dagrun.domain.ids import is_id
from dagrun.domain.result import rfc3339
from dagrun.errors import ConfigError, NotFound
from dagrun.ports.store import Store
from dagrun.ports.tokens import Role, TokenRecord
from dagrun.services.gate import token_hash
from dagrun.settings import Settings, parse

BYTES: Final = 32  # of randomness in a token
NOTE: Final = 200  # characters


def create(settings: Settings, role: str, *, note: str, expires: str | None, as_json: bool) -> int:
    """Make a token, and print it: it is shown this once. Give the exit code.

    Raises:
        ConfigError: an option is wrong.
    """
    if role not in list(Role):
        raise ConfigError(f"tokens create: {role!r} is none of the roles {', '.join(Role)}")
    if len(note) > NOTE or not note.isprintable():
        raise ConfigError(f"--note: {NOTE} printable characters are allowed")
    now = datetime.now(UTC)
    token = f"dagrun_{secrets.token_urlsafe(BYTES)}"
    record = TokenRecord(
        token_id=secrets.token_hex(4),
        role=Role(role),
        hash=token_hash(token),
        note=note,
        created_at=now,
        expires_at=None if expires is None else now + _age(expires),
    )

    async def add(store: Store) -> None:
        await store.add_token(record)

    with_store(settings, load_with_warnings().registry, add)
    if as_json:
        output.say_json({**_json(record), "token": token})
        return output.DONE
    output.say(token)
    output.note(f"dagrun: this is token {record.token_id}; keep it, it is not shown again")
    return output.DONE


def list_tokens(settings: Settings, *, as_json: bool) -> int:
    """List the tokens, without what is secret. Give the exit code."""

    async def read(store: Store) -> list[TokenRecord]:
        return await store.tokens()

    tokens: list[TokenRecord] = []
    if has_database(settings):
        tokens = with_store(settings, load_with_warnings().registry, read)
    if as_json:
        output.say_json({"items": [_json(one) for one in tokens], "next": None})
        return output.DONE
    for one in tokens:
        output.say(f"{one.token_id}  {one.role:<8}  {_state(one):<9}  {one.note}".rstrip())
    if not tokens:
        output.note("dagrun: there are no tokens: on this machine everybody may do everything")
    return output.DONE


def revoke(settings: Settings, token_id: str, *, as_json: bool) -> int:
    """Accept a token no more. Give the exit code.

    Raises:
        NotFound: there is no such token.
    """
    if not is_id(token_id) or not has_database(settings):
        raise NotFound(f"there is no token {token_id[:200]!r}")

    async def act(store: Store) -> bool:
        return await store.revoke_token(token_id, now=datetime.now(UTC))

    changed = with_store(settings, load_with_warnings().registry, act)
    if as_json:
        output.say_json({"token_id": token_id, "changed": changed})
    elif changed:
        output.say(f"token {token_id} is accepted no more")
    else:
        output.note(f"dagrun: token {token_id} was revoked already")
    return output.DONE if changed else output.FAILED


def _age(expires: str) -> timedelta:
    try:
        return timedelta(seconds=parse.at_least(1.0)(expires))
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--expires: {error}, not {expires!r}") from error


def _state(token: TokenRecord) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "accepted" if token.holds(datetime.now(UTC)) else "expired"


def _json(token: TokenRecord) -> dict[str, Any]:
    fields = attrs.asdict(token, recurse=False)
    del fields["hash"]
    times = {name: value and rfc3339(value) for name, value in fields.items() if name[-3:] == "_at"}
    return {**fields, **times, "state": _state(token)}

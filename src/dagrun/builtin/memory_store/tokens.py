"""The tokens that are accepted, and those that were."""

from datetime import datetime

import attrs
import trio

from dagrun.errors import ConflictError, NotFound
from dagrun.ports.tokens import TokenRecord


class TokenTable:
    """Implements :class:`~dagrun.ports.tokens.Tokens`."""

    def __init__(self) -> None:
        self._tokens: dict[str, TokenRecord] = {}

    async def add_token(self, token: TokenRecord) -> None:
        """Store a token; see the port."""
        await trio.lowlevel.checkpoint()
        known = self._tokens.values()
        if any(token.token_id == one.token_id or token.hash == one.hash for one in known):
            raise ConflictError(f"there is a token {token.token_id!r} already")
        self._tokens[token.token_id] = token

    async def tokens(self) -> list[TokenRecord]:
        """Give all tokens."""
        await trio.lowlevel.checkpoint()
        return sorted(self._tokens.values(), key=lambda one: (one.created_at, one.token_id))

    async def revoke_token(self, token_id: str, *, now: datetime) -> bool:
        """Accept a token no more; see the port."""
        await trio.lowlevel.checkpoint()
        token = self._tokens.get(token_id)
        if token is None:
            raise NotFound(f"there is no token {token_id!r}")
        if token.revoked_at is not None:
            return False
        self._tokens[token_id] = attrs.evolve(token, revoked_at=now)
        return True

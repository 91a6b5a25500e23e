"""Tokens: who may call an orchestrator, and for what."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import attrs


class Role(StrEnum):
    """What the holder of a token may do."""

    VIEWER = "viewer"
    """Look at workflows, runs, logs, events and engines."""

    OPERATOR = "operator"
    """Do that; start runs and change those that go on; drain engines."""

    ADMIN = "admin"
    """Do everything: register and delete workflows, too."""

    ENGINE = "engine"
    """Be an engine, and nothing else."""


INCLUDED: Final = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.ADMIN: frozenset(Role),
    Role.ENGINE: frozenset({Role.ENGINE}),
}
"""Role → the roles that its holder may act in."""


@attrs.frozen(kw_only=True)
class TokenRecord:
    """What is stored of a token; the token itself is not."""

    token_id: str
    """What people know it by: an id, see :func:`~dagrun.domain.ids.is_id`."""

    role: Role
    hash: str
    """Hexadecimal SHA-256 of the token."""

    note: str = ""
    """Who has it, for people."""

    created_at: datetime
    expires_at: datetime | None = None
    """When it stops being accepted; None for never."""

    revoked_at: datetime | None = None
    """Since when it is not accepted any more. It stays in the list: once there was a token, nobody
    gets in without one."""

    def holds(self, now: datetime) -> bool:
        """Whether it is accepted."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Tokens(Protocol):
    """Keeps tokens; a part of :class:`~dagrun.ports.store.Store`, which says what may go wrong."""

    async def add_token(self, token: TokenRecord) -> None:
        """Store a token.

        Raises:
            ConflictError: there is one with its id or its hash.
        """
        ...

    async def tokens(self) -> list[TokenRecord]:
        """Give all tokens, the oldest first, also those that are not accepted any more."""
        ...

    async def revoke_token(self, token_id: str, *, now: datetime) -> bool:
        """Accept a token no more. Give False if that was so before.

        Raises:
            NotFound: there is no such token.
        """
        ...


class Gate(Protocol):
    """Decides on calls from outside, before anything else is done with them."""

    async def admit(self, token: str | None, role: Role) -> None:
        """Let in who shows a token that may act in a role.

        Raises:
            NotAuthenticated: a token is needed, and this is none that is accepted.
            NotAllowed: the token's role may not do this.
        """
        ...

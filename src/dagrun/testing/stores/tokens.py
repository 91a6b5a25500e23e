# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Tokens."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from dagrun.errors import ConflictError, NotFound
from dagrun.ports.store import Store
from dagrun.ports.tokens import Role, TokenRecord
from dagrun.testing.journals import LATER, NOON


def token(name: str = "t", **fields: Any) -> TokenRecord:
    """Make what is stored of a token."""
    values = {"role": Role.VIEWER, "hash": f"hash of {name}", "created_at": NOON}
    return TokenRecord(token_id=name, **{**values, **fields})


class TokensSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_tokens_come_back_as_they_were_stored_the_oldest_first(
        self, store: Store
    ) -> None:
        later = NOON + timedelta(microseconds=1)
        given = [
            token("b", role=Role.ENGINE, note="é, of e1"),
            token("a", created_at=later, expires_at=LATER),
        ]
        for one in reversed(given):
            await store.add_token(one)
        assert await store.tokens() == given

    async def test_there_is_one_token_of_an_id_and_of_a_hash(self, store: Store) -> None:
        await store.add_token(token())
        for other in (token(hash="other"), token("other", hash=token().hash)):
            with pytest.raises(ConflictError):
                await store.add_token(other)
        assert await store.tokens() == [token()]

    async def test_a_revoked_token_stays_in_the_list(self, store: Store) -> None:
        await store.add_token(token())
        await store.add_token(token("other"))
        assert await store.revoke_token("t", now=LATER)
        assert not await store.revoke_token("t", now=LATER + timedelta(seconds=1))
        revoked = attrs.evolve(token(), revoked_at=LATER)
        assert sorted(await store.tokens(), key=lambda one: one.token_id) == [
            token("other"),
            revoked,
        ]

    async def test_a_token_that_is_not_there_cannot_be_revoked(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.revoke_token("t", now=NOON)

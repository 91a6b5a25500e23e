# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every store must do for those who manage: tokens, and the end of registered versions."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from dagrun.errors import ConflictError, NotFound
from dagrun.ports.store import Store
from dagrun.ports.tokens import Role, TokenRecord
from dagrun.testing.journals import LATER, NOON, add_run, definition, registration


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

    async def test_versions_are_deleted_that_are_named(self, store: Store) -> None:
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            await store.register(registration("w", version), definition())
        await store.register(registration("v", "1.0.0"), definition())
        assert sorted(await store.unregister("w", ["2.0.0", "1.0.0", "3.0.0"])) == [
            "1.0.0",
            "2.0.0",
        ]
        assert await store.unregister("none", ["1.0.0"]) == []
        left = [(one.workflow_id, one.version) for one in await store.registrations()]
        assert left == [("v", "1.0.0"), ("w", "1.1.0")]
        assert await store.definition(definition().hash) == definition()

    async def test_the_definition_goes_with_the_last_version_that_nothing_ran(
        self, store: Store
    ) -> None:
        own = definition(b'{"id":"own"}')
        await add_run(store)
        await store.register(registration("w", "1.0.0"), definition())
        await store.register(registration("v", "1.0.0", definition_hash=own.hash), own)
        await store.unregister("w", ["1.0.0"])
        await store.unregister("v", ["1.0.0"])
        assert await store.definition(definition().hash) == definition()
        with pytest.raises(NotFound):
            await store.definition(own.hash)

    async def test_a_deleted_version_can_be_registered_with_another_content(
        self, store: Store
    ) -> None:
        other = definition(b'{"id":"other"}')
        await store.register(registration("w", "1.0.0"), definition())
        await store.unregister("w", ["1.0.0"])
        assert await store.register(registration("w", "1.0.0", definition_hash=other.hash), other)

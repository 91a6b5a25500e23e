# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Definitions, and registered workflows."""

from datetime import timedelta

import attrs
import pytest

from dagrun.domain.jsonvalue import encode
from dagrun.errors import ConflictError, NotFound
from dagrun.ports.store import Store
from dagrun.testing.journals import NASTY, NOON, add_run, definition, registration


class WorkflowsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_a_definition_is_stored_once(self, store: Store) -> None:
        given = definition(bytes(encode(NASTY)))
        for _ in range(2):
            await store.commit([], definitions=[given, given])
        assert await store.definition(given.hash) == given

    async def test_a_missing_definition_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.definition("0" * 64)

    async def test_a_version_is_registered_once_and_never_changes(self, store: Store) -> None:
        first = registration("w", "1.0.0", metadata=encode({"owner": "me"}), base="/b")
        assert await store.register(first, definition())
        assert not await store.register(first, definition())
        other = definition(b'{"id":"other"}')
        changed = registration("w", "1.0.0", definition_hash=other.hash)
        with pytest.raises(ConflictError):
            await store.register(changed, other)
        assert await store.registrations("w") == [first]
        assert await store.definition(first.definition_hash) == definition()

    async def test_versions_are_listed_by_workflow(self, store: Store) -> None:
        given = [registration("w", "2.0.0"), registration("v", "1.0.0"), registration("w", "1.0.0")]
        for number, one in enumerate(given):
            given[number] = attrs.evolve(one, registered_at=NOON + timedelta(seconds=number))
            await store.register(given[number], definition())
        assert await store.registrations() == [given[1], given[0], given[2]]
        assert await store.registrations("w") == [given[0], given[2]]
        assert await store.registrations("none") == []

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

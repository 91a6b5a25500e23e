"""Who is let in by tokens."""

from datetime import timedelta

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.errors import NotAllowed, NotAuthenticated, StoreBusy
from dagrun.ports.tokens import INCLUDED, Role
from dagrun.services.gate import FRESH, FRESH_FOR_STRANGERS, TokenGate, token_hash
from dagrun.testing.journals import NOON
from dagrun.testing.stores.tokens import token


def stored(name, role=Role.ADMIN, **fields):
    return token(name, role=role, hash=token_hash(name), **fields)


def gate(store, *, open_without=True, **options):
    return TokenGate(store, open_without=open_without, now=lambda: NOON, **options)


async def test_while_there_is_no_token_everybody_may_do_everything():
    checked = gate(MemoryStore())
    for role in Role:
        await checked.admit(None, role)
        await checked.admit("anything", role)


async def test_a_gate_that_is_not_open_without_lets_nobody_in():
    with pytest.raises(NotAuthenticated):
        await gate(MemoryStore(), open_without=False).admit(None, Role.VIEWER)


async def test_who_shows_no_token_is_told_how_to_show_one_and_where_one_is_made():
    with pytest.raises(NotAuthenticated) as caught:
        await gate(MemoryStore(), open_without=False).admit(None, Role.VIEWER)
    for way in ("DAGRUN_TOKEN", "--token", "data directory", "dagrun tokens create"):
        assert way in str(caught.value)


@pytest.mark.parametrize("wanted", Role)
@pytest.mark.parametrize("held", Role)
async def test_a_role_may_do_what_it_includes_and_nothing_else(held, wanted):
    store = MemoryStore()
    await store.add_token(stored("mine", held))
    if wanted in INCLUDED[held]:
        await gate(store).admit("mine", wanted)
    else:
        with pytest.raises(NotAllowed, match=f"{wanted}.*{held}") as caught:
            await gate(store).admit("mine", wanted)
        assert caught.value.held == held


def test_no_role_but_admin_may_act_as_another_kind():
    assert Role.ENGINE not in INCLUDED[Role.OPERATOR]
    assert INCLUDED[Role.ENGINE] == {Role.ENGINE}
    assert INCLUDED[Role.VIEWER] == {Role.VIEWER}


@pytest.mark.parametrize("shown", [None, "", "other", "hash of mine", token_hash("mine")])
async def test_from_the_first_token_on_one_is_needed(shown):
    store = MemoryStore()
    await store.add_token(stored("mine"))
    with pytest.raises(NotAuthenticated):
        await gate(store).admit(shown, Role.VIEWER)


async def test_revoking_the_last_token_does_not_open_the_gate():
    store = MemoryStore()
    await store.add_token(stored("mine"))
    await store.revoke_token("mine", now=NOON)
    for shown in (None, "mine"):
        with pytest.raises(NotAuthenticated):
            await gate(store).admit(shown, Role.VIEWER)


async def test_a_token_is_accepted_until_it_expires():
    store = MemoryStore()
    await store.add_token(stored("old", expires_at=NOON))
    await store.add_token(stored("new", expires_at=NOON + timedelta(microseconds=1)))
    await gate(store).admit("new", Role.ADMIN)
    with pytest.raises(NotAuthenticated):
        await gate(store).admit("old", Role.VIEWER)


@pytest.mark.parametrize("ended", ["revoked", "expired"])
async def test_a_token_that_was_given_for_engines_ends_as_it_is_stored(ended):
    store = MemoryStore()
    expires_at = NOON if ended == "expired" else None
    await store.add_token(stored("mine", Role.ENGINE, expires_at=expires_at))
    if ended == "revoked":
        await store.revoke_token("mine", now=NOON)
    with pytest.raises(NotAuthenticated):
        await gate(store, engines="mine").admit("mine", Role.ENGINE)


async def test_a_token_that_is_no_text_of_unicode_is_unknown():
    store = MemoryStore()
    await store.add_token(stored("mine"))
    with pytest.raises(NotAuthenticated):
        await gate(store).admit("\ud800", Role.ENGINE)


async def test_a_revoked_token_is_accepted_for_one_second_more_at_most(autojump_clock):
    store = MemoryStore()
    await store.add_token(stored("mine"))
    checked = gate(store)
    await checked.admit("mine", Role.VIEWER)
    await store.revoke_token("mine", now=NOON)
    await trio.sleep(FRESH)
    with pytest.raises(NotAuthenticated):
        await checked.admit("mine", Role.VIEWER)


async def test_a_new_token_is_accepted_almost_at_once(autojump_clock):
    store = MemoryStore()
    await store.add_token(stored("mine"))
    checked = gate(store)
    await checked.admit("mine", Role.VIEWER)
    await store.add_token(stored("new"))
    await trio.sleep(FRESH_FOR_STRANGERS)
    await checked.admit("new", Role.VIEWER)


async def test_engines_may_show_the_token_that_was_given_and_nobody_else():
    checked = gate(MemoryStore(), engines="secret")
    await checked.admit("secret", Role.ENGINE)
    for shown, role in (("secret", Role.VIEWER), (None, Role.ENGINE), ("other", Role.ENGINE)):
        with pytest.raises((NotAuthenticated, NotAllowed)):
            await checked.admit(shown, role)


class Broken(MemoryStore):
    broken = False

    async def tokens(self):
        if self.broken:
            raise StoreBusy("it is held")
        return await super().tokens()


async def test_what_was_read_counts_while_the_store_does_not_answer(autojump_clock):
    store = Broken()
    await store.add_token(stored("mine"))
    checked = gate(store)
    await checked.admit("mine", Role.VIEWER)
    store.broken = True
    await trio.sleep(10 * FRESH)
    await checked.admit("mine", Role.VIEWER)
    with pytest.raises(NotAuthenticated):
        await checked.admit("other", Role.VIEWER)


async def test_nobody_is_let_in_by_a_store_that_never_answered():
    store = Broken()
    store.broken = True
    with pytest.raises(StoreBusy):
        await gate(store).admit(None, Role.VIEWER)

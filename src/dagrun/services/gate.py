"""Who may call an orchestrator: the holders of tokens, each as far as its role goes."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import trio

from dagrun.errors import NotAllowed, NotAuthenticated, StoreError
from dagrun.ports.tokens import INCLUDED, Role, TokenRecord, Tokens

FRESH: Final = 1.0  # seconds for which what was read counts; other processes write tokens
FRESH_FOR_STRANGERS: Final = 0.1  # seconds; a token that is not known may have just been made

_NOBODY: Final = (
    "this call needs a token: show the one that you have with DAGRUN_TOKEN, or --token; or make one "
    "where the orchestrator's data directory is, with: dagrun tokens create"
)
_UNKNOWN: Final = "the token is not accepted: it is unknown, expired or revoked"


def token_hash(token: str) -> str:
    """Give what is stored of a token. It is random and long, so this need not be slow."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class TokenGate:
    """Implements :class:`~dagrun.ports.tokens.Gate` by the tokens of a store.

    While there is no token, callers count as admin where the gate is open without; from the first
    one on everybody needs one, even if all are revoked.

    Args:
        tokens: where they are kept.
        open_without: whether callers need no token as long as there is none.
        engines: one token more, which engines may show; None for none. Where there is one, the gate
            is never open without. If it is stored, too, what is stored of it counts.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        open_without: bool,
        engines: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tokens = tokens
        self._open = open_without and engines is None
        self._engines = None if engines is None else token_hash(engines)
        self._now = now
        self._known: dict[str, TokenRecord] | None = None
        self._read_at = 0.0
        self._lock = trio.Lock()

    async def admit(self, token: str | None, role: Role) -> None:
        """Let in who shows a token that may act in a role; see the port."""
        known = await self._as_of(FRESH)
        if self._open and not known:
            return
        if token is None:
            raise NotAuthenticated(_NOBODY)
        shown = token_hash(token)
        if shown not in known:
            known = await self._as_of(FRESH_FOR_STRANGERS)
        held = self._role(known.get(shown), shown)
        if held is None:
            raise NotAuthenticated(_UNKNOWN)
        if role not in INCLUDED[held]:
            raise NotAllowed.for_want_of(role, held)

    def _role(self, record: TokenRecord | None, shown: str) -> Role | None:
        if record is not None:
            return record.role if record.holds(self._now()) else None
        if self._engines is not None and hmac.compare_digest(shown, self._engines):
            return Role.ENGINE
        return None

    async def _as_of(self, age: float) -> dict[str, TokenRecord]:
        """Give what is known, by hash; not older than an age in seconds, if the store answers."""
        async with self._lock:
            if self._known is None or trio.current_time() - self._read_at >= age:
                try:
                    self._known = {one.hash: one for one in await self._tokens.tokens()}
                except StoreError:
                    if self._known is None:
                        raise
                self._read_at = trio.current_time()
            return self._known

"""The secrets of one attempt: looked up just before it, and hidden in all that comes out of it."""

from collections.abc import Mapping
from typing import Final

import attrs
import trio

from dagrun.domain.jsonvalue import NotJson, Raw
from dagrun.domain.masking import Mask, Masker, mask_of
from dagrun.errors import NodeError, SecretError
from dagrun.plugin.providers import look_up
from dagrun.ports.executor import TAIL
from dagrun.ports.secrets import SecretProvider
from dagrun.services.engine.context import AttemptLog

LARGE: Final = 2000
"""Bytes of values for which making the mask takes so long that a thread does it; 15 ms."""

LARGE_OUTPUTS: Final = 64 * 1024
"""Bytes of outputs that a thread searches; full of secrets, they take 20 ms."""

REMEMBERED: Final = 4
"""Values of one secret that are hidden in a run."""


@attrs.define
class MaskedLog:
    """Writes to a log what a masker lets through. Implements :class:`AttemptLog`."""

    _log: AttemptLog
    _masker: Masker

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept."""
        return self._log.ended

    def write(self, data: bytes) -> None:
        """Append bytes, with all secrets hidden; what may be the beginning of one waits."""
        if not self._log.ended:
            self._log.write(self._masker.feed(data))

    def tail(self) -> bytes:
        """Give the end of it; empty when the log is full, as the rest is not searched."""
        return b"" if self._log.ended else (self._log.tail() + self._masker.rest())[-TAIL:]

    def close(self) -> None:
        """Write what has waited, and no more."""
        self._log.write(self._masker.finish())
        self._log.close()


class Earlier:
    """The values that secrets have had in a run: what an attempt left may be printed by the next.

    It keeps the last few of each, so that one that is new for each attempt does not grow a mask.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    def note(self, source: str, value: str) -> list[str]:
        """Give the values of a source, of which ``value`` is the newest."""
        values = self._values.setdefault(source, [])
        if value not in values:
            values.append(value)
            del values[:-REMEMBERED]
        return values


class Vault:
    """Looks up the secrets of one attempt, and hides them.

    Args:
        references: name → ``provider:reference``.
        providers: the open providers by name.
        earlier: what the secrets of the run were so far.
    """

    def __init__(
        self,
        references: Mapping[str, str],
        providers: Mapping[str, SecretProvider],
        earlier: Earlier | None = None,
    ) -> None:
        self._references = references
        self._providers = providers
        self._earlier = earlier or Earlier()
        self._mask: Mask | None = None

    async def open(self) -> Mapping[str, str]:
        """Give name → value.

        Raises:
            NodeError: one cannot be had, or could not be hidden (type ``secret``).
        """
        values = {name: await self._get(name) for name in self._references}
        known = (self._earlier.note(self._references[name], values[name]) for name in values)
        texts = tuple(sorted({text for texts in known for text in texts}))
        if sum(map(len, texts)) > LARGE:
            self._mask = await trio.to_thread.run_sync(mask_of, texts)
        else:
            self._mask = mask_of(texts)
        return values

    async def _get(self, name: str) -> str:
        source = self._references[name]
        try:
            return await look_up(source, self._providers)
        except SecretError as error:
            message = f"the secret {name} ({source}) cannot be used: {error}"
            raise NodeError("secret", message) from error

    def log(self, log: AttemptLog) -> AttemptLog:
        """Give a log that hides the secrets."""
        return log if self._mask is None else MaskedLog(log, Masker(self._mask))

    async def outputs(self, outputs: Raw) -> Raw:
        """Give outputs with the secrets hidden.

        Raises:
            NodeError: they cannot be hidden there (type ``secret``).
        """
        if self._mask is None:
            return outputs
        try:
            if len(bytes(outputs)) > LARGE_OUTPUTS:
                return await trio.to_thread.run_sync(self._mask.json, outputs)
            return self._mask.json(outputs)
        except NotJson as error:
            raise NodeError("secret", f"the outputs are refused: {error}") from error

    def text(self, text: str) -> str:
        """Give a text with the secrets hidden."""
        return text if self._mask is None else self._mask.text(text)

# ruff: noqa: S101 — these are tests
"""What every provider of secrets must do, as tests to inherit; and how programs encode a secret."""

import base64
import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
import trio

from dagrun.errors import SecretError
from dagrun.plugin.entering import entered
from dagrun.ports.secrets import SecretProvider
from dagrun.testing.limits import WHOLE

LIMIT = 10.0  # seconds that no test of the suite comes near
NASTY: Final = (
    "plain-value",
    "  blanks around it\t",
    "quotes ' and \" and \\ and %41 and ${x}",
    "ünï€😀",
    "-----BEGIN KEY-----\nline\n\n-----END KEY-----",
    "x" * 10_000,
)
HOSTILE: Final = (
    "",
    ".",
    "..",
    "../outside",
    "a/../../outside",
    "/etc/passwd",
    "a//b",
    "a/",
    "nul\0nul",
    "line\nbreak",
    "%2e%2e%2foutside",
    "x" * 10_000,
    "\udc80",
)


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _unicode(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _upper(text: str) -> str:
    """Escape all that is no letter or digit, with upper-case digits."""
    escape = (lambda c: f"\\u{ord(c):04X}", _escaped)
    return "".join(c if c.isalnum() and c.isascii() else escape[ord(c) > 0xFFFF](c) for c in text)


def _go(text: str) -> str:
    """Escape as Go's encoding/json does."""
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", _unicode(text))


def _lower(text: str) -> str:
    """Write the digits of URL-encoding in lower case."""
    return re.sub("%..", lambda found: found[0].lower(), text)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _octal(text: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in text.encode())


ENCODERS: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": str,
    "json": _escaped,
    "json, not only ASCII": _unicode,
    "json, upper case": _upper,
    "json of PHP": lambda text: _escaped(text).replace("/", "\\/"),
    "json of Go": _go,
    "json twice": lambda text: _escaped(_escaped(text)),
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "quote, lower case": lambda text: _lower(quote(text)),
    "quote_plus": quote_plus,
    "quote_plus, lower case": lambda text: _lower(quote_plus(text)),
    "encodeURIComponent": lambda text: quote(text, safe="!'()*"),
    "encodeURI": lambda text: quote(text, safe=";,/?:@&=+$-_.!~*'()#"),
    "quote twice": lambda text: quote(quote(text)),
    "json, quoted": lambda text: quote(_escaped(text)),
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "backslashes": lambda text: re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text),
    "shlex.quote": lambda text: text.replace("'", "'\"'\"'"),
    "set -x": lambda text: text.replace("'", "'\\''"),
    "octal": lambda text: "".join(c if c.isascii() else _octal(c) for c in text),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": _base64,
    "base64 without =": lambda text: _base64(text).rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, json of PHP": lambda text: _base64(text).replace("/", "\\/"),
    "base64, quote_plus": lambda text: quote_plus(_base64(text)),
}
"""Name → how programs write a secret, none of which may leave an engine."""


class SecretsSuite(ABC):
    """Inherit it, and say how the provider is made and how it comes to have a secret."""

    @abstractmethod
    def provider(self, folder: Path) -> SecretProvider:
        """Make the provider; ``folder`` is the test's own."""

    @abstractmethod
    def put(self, folder: Path, name: str, value: str) -> str:
        """Let there be a secret, or give it another value. Give its reference.

        Args:
            folder: the test's own.
            name: letters only.
            value: the value.
        """

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[SecretProvider]:
        """Enter the provider as an engine does, if it can be entered; for a minute at most."""
        with trio.fail_after(WHOLE):
            async with AsyncExitStack() as stack:
                yield await entered(stack, self.provider(folder))

    @pytest.mark.parametrize("value", NASTY)
    async def test_a_value_is_given_as_it_is(self, tmp_path: Path, value: str) -> None:
        """Nothing is added, removed or replaced."""
        reference = self.put(tmp_path, "secret", value)
        async with self.opened(tmp_path) as provider:
            assert await provider.get(reference) == value

    async def test_a_changed_value_is_given_from_then_on(self, tmp_path: Path) -> None:
        """Each call looks anew, so that a secret can be replaced while an engine runs."""
        reference = self.put(tmp_path, "secret", "old value")
        async with self.opened(tmp_path) as provider:
            assert await provider.get(reference) == "old value"
            assert self.put(tmp_path, "secret", "new value") == reference
            assert await provider.get(reference) == "new value"

    async def test_a_missing_secret_is_an_error_that_says_so(self, tmp_path: Path) -> None:
        """It is a SecretError with a message."""
        reference = self.put(tmp_path, "secret", "value")
        async with self.opened(tmp_path) as provider:
            with pytest.raises(SecretError) as caught:
                await provider.get(reference.replace("secret", "other"))
        assert str(caught.value)

    @pytest.mark.parametrize("reference", HOSTILE)
    async def test_a_hostile_reference_is_refused(self, tmp_path: Path, reference: str) -> None:
        """It is a SecretError, never a file of somebody else or another exception."""
        folder = tmp_path / "inside"
        folder.mkdir()
        (tmp_path / "outside").write_text("not for documents")
        self.put(folder, "a", "value")
        async with self.opened(folder) as provider:
            with trio.fail_after(LIMIT), pytest.raises(SecretError):
                await provider.get(reference)

    async def test_many_may_ask_at_once(self, tmp_path: Path) -> None:
        """One provider serves all nodes of an engine."""
        references = {
            self.put(tmp_path, f"secret{letter}", f"value {letter}"): f"value {letter}"
            for letter in "abcdefghij"
        }
        found: dict[str, str] = {}
        async with self.opened(tmp_path) as provider:

            async def ask(reference: str) -> None:
                found[reference] = await provider.get(reference)

            with trio.fail_after(LIMIT):
                async with trio.open_nursery() as nursery:
                    for reference in references:
                        nursery.start_soon(ask, reference)
        assert found == references

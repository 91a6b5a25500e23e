"""Orchestrators and engines in processes of their own, and what they log."""

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from dagrun.testing.programs import LIMIT, Program

LISTENING = "listening on "


def free_port() -> int:
    """Give a port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def read_log(role: Program, words: str, *, limit: float = LIMIT / 2) -> str:
    """Read the log of a role up to an entry that has some words, and give what it says.

    Raises:
        AssertionError: there was none before the end, or for ``limit`` seconds.
    """
    return str(_entry(lines_up_to(role, words, limit=limit)[-1])["event"])


def lines_up_to(role: Program, words: str, *, limit: float = LIMIT / 2) -> list[str]:
    """Read the log of a role up to a line that has some words, and give all of these lines.

    Raises:
        AssertionError: there was none before the end, or for ``limit`` seconds.
    """
    lines = [role.read_line("stderr", limit=limit)]
    while words not in lines[-1]:
        lines.append(role.read_line("stderr", limit=limit))
    return lines


def address_of(role: Program) -> str:
    """Wait until a role listens, and give where."""
    return read_log(role, LISTENING).removeprefix(LISTENING)


def logged(text: str) -> Iterator[Mapping[str, Any]]:
    """Give the entries of a log that was written as JSON; other lines are left out."""
    return (_entry(line) for line in text.splitlines() if line.startswith("{"))


def _entry(line: str) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = json.loads(line) if line.startswith("{") else {"event": line}
    return entry

"""Where a command's words go: results to standard output, everything else to standard error.

What is for people goes through :mod:`dagrun.cli.visible`, since nodes, documents and files have
their say in it. JSON for programs is written as it is.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedWriter, RawIOBase, TextIOBase, TextIOWrapper
from pathlib import Path
from typing import Any, Final

import attrs

from dagrun.cli.visible import visible, visible_json, visible_lines
from dagrun.errors import (
    ConfigError,
    DagrunError,
    DefinitionError,
    InputError,
    NotFound,
    Problem,
    SecretError,
    StoreCorrupt,
    StoreTooNew,
    Unreachable,
)

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
"""Wrong usage, definition or configuration."""

UNREACHABLE: Final = 3
"""The server does not answer."""

INTERRUPTED: Final = 130


_WRONG: Final = (
    *(DefinitionError, InputError, ConfigError, SecretError, NotFound),
    *(StoreCorrupt, StoreTooNew),
)


class OutputLost(Exception):
    """Standard output takes nothing more."""


def prepare() -> None:
    """Make the standard streams fit to write to, whatever the caller left of them.

    Closed ones lead nowhere from now on: a file opened later must not take their places.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest place that is free
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 — as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout = sys.__stdout__ = _complete(sys.stdout)  # type: ignore[misc]  # not Final to us
        sys.stdout.reconfigure(errors="backslashreplace")


def _complete(stream: TextIOWrapper) -> TextIOWrapper:
    """Give a stream that writes all of a text, or raises.

    Under PYTHONUNBUFFERED there is no buffer, and a write that a signal or a full disk cuts short
    loses the rest (https://github.com/python/cpython/issues/85393).
    """
    if not isinstance(stream.buffer, RawIOBase):
        return stream
    encoding = stream.encoding
    raw: Any = stream.detach()  # the old object is of no use from now on
    return TextIOWrapper(BufferedWriter(raw), encoding=encoding)


def say(line: str = "") -> None:
    """Write a line of the result.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    say_text(visible(line) + "\n")


def say_log(text: str) -> None:
    """Write what a node printed: as it is to a pipe or a file, and harmless on a terminal.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    say_text(visible_lines(text) if sys.stdout.isatty() else text)


def say_value(value: Any, *, head: str = "") -> None:
    """Write a value as JSON of several lines, for people and programs.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    say_text(f"{head}{visible_json(_json_text(value, indent=2))}\n")


def say_text(text: str) -> None:
    """Write a part of the result as it is.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise OutputLost from error


def flush() -> None:
    """Push out what was said.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputLost from error


class Notes(TextIOBase):
    """A stream for what is no result: to standard error, as long as that takes it."""

    def write(self, text: str) -> int:
        """Write, if anybody can read it."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)


def note(line: str) -> None:
    """Write a line for the person who watches, if anybody can."""
    with suppress(OSError, ValueError):
        sys.stderr.write(visible(line) + "\n")


def note_next(cursor: str | None) -> None:
    """Say how to see what follows a page of a list, if anything does.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    if cursor:
        flush()  # what is listed comes first on a terminal
        note(f"dagrun: more with --cursor {cursor}")


def say_json(value: Any) -> None:
    """Write a result for a program: one line of JSON.

    Raises:
        OutputLost: standard output takes nothing more.
    """
    say_text(_json_text(value) + "\n")


def _json_text(value: Any, *, indent: int | None = None) -> str:
    """Write JSON in characters that standard output can take."""
    any_character = sys.stdout.encoding.lower() in ("utf-8", "utf8")
    return json.dumps(value, ensure_ascii=not any_character, allow_nan=False, indent=indent)


def report(error: DagrunError, *, as_json: bool) -> int:
    """Tell an error, and give the exit code that goes with it."""
    if as_json:
        problems = getattr(error, "problems", ())
        fields = {**_error_json(error), "errors": problems_json(problems)}
        if (dependents := getattr(error, "dependents", None)) is not None:
            fields["dependents"] = dependents
        say_json({"error": fields})
    else:
        for line in _lines(error):
            note(line)
    if isinstance(error, Unreachable):
        return UNREACHABLE
    return WRONG if isinstance(error, _WRONG) else FAILED


def _lines(error: DagrunError) -> list[str]:
    """Give what is wrong, behind the file that it is in, or else behind our name."""
    problems: Sequence[Problem] = getattr(error, "problems", ())
    return [str(one) if one.file else f"dagrun: {one}" for one in problems] or [
        f"dagrun: {str(error) or type(error).__name__}"
    ]


def _error_json(error: DagrunError) -> dict[str, Any]:
    return {"type": error.code, "message": str(error)}


def problems_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Give problems as ``validate --json`` prints them."""
    keys = ("file", "line", "column", "path", "message", "suggestion")
    return [{key: attrs.asdict(problem)[key] for key in keys} for problem in problems]


def stdout_is_gone(lost: OutputLost) -> int:
    """Let the rest of standard output lead nowhere, and give the exit code.

    A reader that went away knows why; a full disk is told of.
    """
    if not isinstance(lost.__cause__, BrokenPipeError):
        note(f"dagrun: standard output cannot be written: {lost.__cause__}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return FAILED

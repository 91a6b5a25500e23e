"""Where a command's words go: results to standard output, everything else to standard error."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import attrs

from dagrun.errors import (
    ConfigError,
    DagrunError,
    DefinitionError,
    InputError,
    NotFound,
    Problem,
    StoreCorrupt,
    StoreTooNew,
)

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
"""Wrong usage, definition or configuration."""

INTERRUPTED: Final = 130

_WRONG: Final = (DefinitionError, InputError, ConfigError, NotFound, StoreCorrupt, StoreTooNew)


def say(line: str = "") -> None:
    """Write a line of the result."""
    sys.stdout.write(line + "\n")


def note(line: str) -> None:
    """Write a line for the person who watches."""
    sys.stderr.write(line + "\n")


def say_json(value: Any) -> None:
    """Write a result for a program: one line of JSON."""
    say(json.dumps(value, ensure_ascii=False, allow_nan=False))


def report(error: DagrunError, *, as_json: bool) -> int:
    """Tell an error, and give the exit code that goes with it."""
    if as_json:
        problems = getattr(error, "problems", ())
        say_json({"error": {**_error_json(error), "errors": problems_json(problems)}})
    else:
        for line in str(error).splitlines() or [type(error).__name__]:
            note(f"dagrun: {line}" if not hasattr(error, "problems") else line)
    return WRONG if isinstance(error, _WRONG) else FAILED


def _error_json(error: DagrunError) -> dict[str, str]:
    return {"type": error.code, "message": str(error)}


def problems_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Give problems as ``validate --json`` prints them."""
    keys = ("file", "line", "column", "path", "message", "suggestion")
    return [{key: attrs.asdict(problem)[key] for key in keys} for problem in problems]


def stdout_is_gone() -> None:
    """Go on quietly after the reader of standard output went away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""What a child process sees of its surroundings: built, never inherited."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dagrun.ports.executor import Context
from dagrun.ports.processes import DEFAULT_PATH

PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")


def base_environment() -> dict[str, str]:
    """Give the variables of the engine that every child gets."""
    found = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": DEFAULT_PATH, **found}


def merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """Put several environments together; later ones win."""
    return {name: value for part in parts for name, value in part.items()}


def directory(context: Context, cwd: str | None) -> str:
    """Give the working directory: beside the document, or the scratch directory for None."""
    if cwd is None:
        return str(context.scratch)
    return str(Path(context.base or context.scratch, cwd))

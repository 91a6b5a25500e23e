"""What a child process sees of its surroundings: built, never inherited."""

import os
from collections.abc import Mapping
from typing import Final

from dagrun.ports.processes import DEFAULT_PATH

PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")


def base_environment() -> dict[str, str]:
    """Give the variables of the engine that every child gets."""
    found = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": DEFAULT_PATH, **found}


def merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """Put several environments together; later ones win."""
    return {name: value for part in parts for name, value in part.items()}

"""Counts the steps of a check, so that none goes on for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

APPLY: Final = 10
"""Steps for applying a schema to a value; one step is about a microsecond."""


class TooManySteps(Exception):
    """A check was given up."""


class Meter:
    """Counts steps up to a number of them.

    Args:
        steps: how many may be taken.
    """

    __slots__ = ("steps", "taken")

    def __init__(self, steps: float) -> None:
        self.steps = steps
        self.taken = 0

    def take(self, steps: int) -> None:
        """Take some.

        Raises:
            TooManySteps: there are not so many left.
        """
        self.taken += steps
        if self.taken > self.steps:
            raise TooManySteps


_METER: Final[ContextVar[Meter]] = ContextVar("meter")


@contextmanager
def counted_by(meter: Meter) -> Iterator[None]:
    """Count the steps that are taken inside."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


def take(steps: int) -> None:
    """Take some steps of the check that goes on, if one does.

    Raises:
        TooManySteps: there are not so many left.
    """
    meter = _METER.get(None)
    if meter is not None:
        meter.take(steps)


def breadth(value: Any) -> int:
    """Count the members of a value, or what a text's length costs."""
    if isinstance(value, dict | list):
        return len(value)
    return len(value) >> 6 if isinstance(value, str) else 0


def bulk(value: Any) -> int:
    """Count all that a value holds, at any depth."""
    if isinstance(value, dict):
        return 1 + sum(map(bulk, value)) + sum(map(bulk, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(bulk, value))
    return 1 + breadth(value)

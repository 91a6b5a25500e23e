"""Long lists, which are given in parts."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import attrs

T = TypeVar("T")

MOST: Final = 1000
"""Most things that a list gives at once. A limit is a number from 1 to this; any other is an
:class:`~dagrun.errors.InputError`."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """A part of a list."""

    items: Sequence[T]
    next: str | None = None
    """What to give as the cursor for the next part; None at the end."""

"""What the classes of the model take: what they can turn into a field's type, they turn.

All else stays as it is, so that whoever builds a workflow in Python is told all that is wrong with
it at once. So what these functions are said to give holds after the check only.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import StrEnum
from typing import Any, TypeVar

import attrs

from dagrun.domain.durations import parse_duration
from dagrun.domain.ids import is_id

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def mapping(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Copy a mapping; None is an empty one."""
    kept: Any = value
    if type(kept) is dict or isinstance(kept, Mapping):
        return dict(kept)
    return {} if kept is None else kept


def word(kind: type[E], value: Any) -> E:
    """Take a word for the member of an enum."""
    try:
        return kind(value)
    except ValueError:
        kept: E = value
        return kept


def number(value: Any) -> float:
    """Take a whole number for any."""
    kept: float = value
    return float(kept) if isinstance(kept, int) and not isinstance(kept, bool) else kept


def duration(value: Any) -> float:
    """Take what a document may say for a duration, in seconds."""
    if type(value) is float:
        return value
    try:
        return parse_duration(value)
    except ValueError:
        return number(value)


def optional_duration(value: Any) -> float | None:
    """Do the same, or take None."""
    return None if value is None else duration(value)


def made(cls: type[T], value: Any) -> T:
    """Take an instance, or a mapping of what to make one of, as in a document."""
    kept: T = value
    if isinstance(value, cls) or not isinstance(value, Mapping):
        return kept
    try:
        return cls(**value)
    except TypeError:  # a key is missing, or is not known
        return kept


def listed(value: Any) -> Any:
    """Take anything that has an order for a list, such as a range; give a tuple."""
    if type(value) is tuple or isinstance(value, str | bytes | Mapping | Set):
        return value
    return tuple(value) if isinstance(value, Iterable) else value


def named(triggers: Sequence[Any]) -> tuple[Any, ...]:
    """Name triggers without an id after their type: ``cron``, ``cron-2``."""
    taken = {"", *(str(getattr(trigger, "id", "")) for trigger in triggers)}
    numbers = Counter[str]()
    return tuple(_with_id(trigger, taken, numbers) for trigger in triggers)


def _with_id(trigger: Any, taken: set[str], numbers: Counter[str]) -> Any:
    kind, name = getattr(trigger, "type", None), getattr(trigger, "id", None)
    if name != "" or not isinstance(kind, str) or not is_id(kind):
        return trigger
    while name in taken:
        numbers[kind] += 1
        name = kind if numbers[kind] == 1 else f"{kind}-{numbers[kind]}"
    taken.add(name)
    return attrs.evolve(trigger, id=name)

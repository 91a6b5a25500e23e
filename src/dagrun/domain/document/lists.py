"""Which types of fields are written as a list in a document."""

from collections import abc
from collections.abc import Callable, Iterable
from typing import Any, Final, get_args, get_origin

_COLLECTING: Final[dict[Any, Callable[[Iterable[Any]], Any]]] = {
    list: list,
    abc.MutableSequence: list,
    tuple: tuple,
    abc.Sequence: tuple,
    abc.Collection: tuple,
    abc.Iterable: tuple,
    set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
    abc.Set: frozenset,
}
"""Type → what makes one of elements. A text has elements, too, and is refused for all of these."""


def is_list(kind: Any) -> bool:
    """Whether a type is written as a list."""
    return (get_origin(kind) or kind) in _COLLECTING


def element_of(kind: Any) -> Any:
    """Give the type of the elements.

    >>> element_of(list[str]), element_of(tuple)
    (<class 'str'>, typing.Any)
    """
    return (get_args(kind) or (Any,))[0]


def collecting(kind: Any) -> Callable[[Iterable[Any]], Any]:
    """Give what makes such a list of its elements."""
    return _COLLECTING[get_origin(kind) or kind]


def places_of(kind: Any) -> tuple[Any, ...] | None:
    """Give the types of a tuple in which each place has its own; None for any other list.

    >>> places_of(tuple[str, int]), places_of(tuple[str, ...])
    ((<class 'str'>, <class 'int'>), None)
    """
    places = get_args(kind)
    return places if get_origin(kind) is tuple and Ellipsis not in places else None

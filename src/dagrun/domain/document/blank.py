"""Options made with blanks in place of what is filled in only when a node starts.

Whoever looks at a blank gets no further. So what an options' class says to be wrong before it has
looked at one is wrong whatever is filled in; and what it would say behind that is not asked for.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

BLANK_METHODS: Final = (
    *("__getattribute__", "__bool__", "__len__", "__iter__", "__next__", "__contains__"),
    *("__getitem__", "__reversed__", "__call__", "__hash__", "__str__", "__repr__", "__format__"),
    *("__bytes__", "__fspath__", "__int__", "__float__", "__complex__", "__index__", "__round__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__neg__", "__pos__", "__abs__"),
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__mod__", "__rmod__"),
    *("__truediv__", "__rtruediv__", "__floordiv__", "__rfloordiv__", "__pow__", "__rpow__"),
    *("__and__", "__rand__", "__or__", "__ror__", "__xor__", "__rxor__", "__invert__"),
)


class Looked(Exception):
    """Something depends on what is not there yet."""


def _look(*_: object) -> Any:
    raise Looked


BLANK: Final[Any] = type("Blank", (), dict.fromkeys(BLANK_METHODS, _look))()
"""What is not there yet. It may be compared by ``is`` only, and else raises :exc:`Looked`."""


def sure_complaint(kind: type[Any], values: Mapping[str, Any]) -> ValueError | None:
    """Give what the options' class refuses whatever is filled in; None if it depends on that.

    Args:
        kind: an attrs class.
        values: the options, with ``BLANK`` in place of what is missing, at any depth.
    """
    try:
        _assemble(kind, values)
    except ValueError as error:
        return None if isinstance(error.__context__, Looked) else error
    except Exception:  # noqa: BLE001 — it looked at a blank, or passed one on to who needs a text
        return None
    return None


def _assemble(kind: type[Any], values: Mapping[str, Any]) -> None:
    """Make an instance as its class does, but for the checks of single options that are blank."""
    instance = object.__new__(kind)
    fields = [field for field in attrs.fields(kind) if _is_set(field, values)]
    for field in fields:
        value = values[field.name] if field.name in values else _default(field, instance)
        if value is not BLANK and field.converter is not None:
            value = _converted(field, value, instance)
        object.__setattr__(instance, field.name, value)
    for field in fields:
        if field.validator is not None and values.get(field.name) is not BLANK:
            field.validator(instance, field, getattr(instance, field.name))
    if hasattr(kind, "__attrs_post_init__"):
        instance.__attrs_post_init__()


def _is_set(field: Any, values: Mapping[str, Any]) -> bool:
    """Whether the class sets it before it looks at the whole."""
    return field.name in values or field.default is not attrs.NOTHING


def _converted(field: Any, value: Any, instance: Any) -> Any:
    converter: Any = field.converter
    if not hasattr(converter, "takes_self"):  # it is no attrs.Converter
        return converter(value)
    more = [instance] if converter.takes_self else []
    more += [field] if converter.takes_field else []
    return converter.converter(value, *more)


def _default(field: Any, instance: Any) -> Any:
    default = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # typed as a function, and is a class
        return default
    return default.factory(instance) if default.takes_self else default.factory()


def missing(kind: type[Any], given: Collection[str]) -> list[str]:
    """Give the options that must be there and are not."""
    return [
        field.name
        for field in attrs.fields(kind)
        if field.init and field.default is attrs.NOTHING and field.name not in given
    ]

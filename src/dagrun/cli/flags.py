"""Flags that are made from settings."""

from collections.abc import Mapping
from typing import Annotated, Any

import attrs
from cyclopts import Group, Parameter

from dagrun.settings.names import flag_of, variable_of
from dagrun.settings.reading import about, is_switch, usual

SETTINGS = Group("Settings", sort_key=9)


def flags_of(kind: type[attrs.AttrsInstance]) -> Any:
    """Make the class of the flags of a command from the class of its settings."""
    fields = {field.name: _flag(field) for field in attrs.fields(kind)}
    return attrs.make_class(f"{kind.__name__}Flags", fields, kw_only=True, frozen=True)


def given(flags: Any) -> Mapping[str, object]:
    """Give setting → what its flag says, of those that were given."""
    said = {} if flags is None else attrs.asdict(flags)
    return {name: value for name, value in said.items() if value is not None}


def _flag(field: "attrs.Attribute[Any]") -> Any:
    default = f"; default: {text}" if (text := usual(field)) else ""
    parameter = Parameter(
        name=flag_of(field.name),
        group=SETTINGS,
        negative="",
        help=f"{about(field)}. {variable_of(field.name)}{default}.",
    )
    plain = bool if is_switch(field) else str
    annotation: Any = Annotated[plain | None, parameter]
    return attrs.field(default=None, type=annotation)

"""What the two roles have in common as commands: their flags, and their last moments."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import attrs
import trio
from cyclopts import Parameter

from dagrun.cli import output
from dagrun.cli.options import SETTINGS
from dagrun.settings.names import flag_of, variable_of
from dagrun.settings.reading import about, is_switch

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

Insecure = Annotated[
    bool,
    Parameter(
        name="--insecure",
        negative="",
        show_default=False,
        help="Listen for other machines without TLS, or without asking who they are.",
    ),
]


def flags_class(kind: type[attrs.AttrsInstance]) -> type[Any]:
    """Make the class of the flags of a command from the class of its settings."""
    return attrs.make_class(
        f"{kind.__name__}Flags",
        {field.name: _flag(field) for field in attrs.fields(kind)},
        kw_only=True,
        frozen=True,
    )


def _flag(field: "attrs.Attribute[Any]") -> Any:
    parameter = Parameter(
        name=flag_of(field.name),
        group=SETTINGS,
        negative="",
        help=f"{about(field)}. {variable_of(field.name)}.",
    )
    plain = bool if is_switch(field) else str
    annotation: Any = Annotated[plain | None, parameter]
    return attrs.field(default=None, type=annotation)


def given(flags: Any) -> Mapping[str, object]:
    """Give setting → what its flag says; nothing if no flag was given."""
    return {} if flags is None else attrs.asdict(flags)


@asynccontextmanager
async def heeding(told: Callable[[], None]) -> AsyncIterator[None]:
    """Heed SIGINT and SIGTERM for the length of the block. The second one ends the process at once.

    Args:
        told: is called at the first one.
    """
    async with trio.open_nursery() as nursery:
        await nursery.start(_heed, told)
        yield
        nursery.cancel_scope.cancel()


async def _heed(told: Callable[[], None], *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(*SIGNALS) as received:
        task_status.started()
        await anext(received)
        told()
        await anext(received)
        os._exit(output.INTERRUPTED)

"""The commands of the two roles. What they do is imported when they are called."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from dagrun.cli.imports import importing
from dagrun.cli.options import SETTINGS, Config
from dagrun.settings.engine import EngineSettings
from dagrun.settings.names import flag_of, variable_of
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import about, is_switch, read

Insecure = Annotated[
    bool,
    Parameter(
        name="--insecure",
        negative="",
        show_default=False,
        help="Listen for other machines without TLS, or without asking who they are.",
    ),
]


def _flags(kind: type[attrs.AttrsInstance]) -> Any:
    """Make the class of the flags of a command from the class of its settings."""
    fields = {field.name: _flag(field) for field in attrs.fields(kind)}
    return attrs.make_class(f"{kind.__name__}Flags", fields, kw_only=True, frozen=True)


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


if TYPE_CHECKING:
    OrchestratorFlags = Any
    EngineFlags = Any
else:
    OrchestratorFlags = _flags(OrchestratorSettings)
    EngineFlags = _flags(EngineSettings)


def orchestrator(
    *,
    flags: Annotated[OrchestratorFlags | None, Parameter(name="*")] = None,
    insecure: Insecure = False,
    config: Config = None,
) -> int:
    """Accept runs, keep their journals, and give them to engines, until SIGTERM or Ctrl-C."""
    with importing():
        from dagrun.cli.orchestrator import run_orchestrator  # noqa: PLC0415 — loaded on use

    settings = read(OrchestratorSettings, _given(flags), environ=os.environ, config=config)
    return run_orchestrator(settings, insecure=insecure)


def engine(
    *,
    flags: Annotated[EngineFlags | None, Parameter(name="*")] = None,
    insecure: Insecure = False,
    config: Config = None,
) -> int:
    """Execute the runs that an orchestrator gives, until SIGTERM or Ctrl-C."""
    with importing():
        from dagrun.cli.engine import run_engine  # noqa: PLC0415 — loaded on use

    settings = read(EngineSettings, _given(flags), environ=os.environ, config=config)
    return run_engine(settings, insecure=insecure)


def _given(flags: Any) -> Mapping[str, object]:
    """Give setting → what its flag says; nothing if no flag was given."""
    return {} if flags is None else attrs.asdict(flags)

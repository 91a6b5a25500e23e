"""The commands of the two roles. What they do is imported when they are called."""

import os
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dagrun.cli.flags import flags_of, given
from dagrun.cli.imports import importing
from dagrun.cli.options import Config
from dagrun.settings.engine import EngineSettings
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read

Insecure = Annotated[
    bool,
    Parameter(
        name="--insecure",
        negative="",
        show_default=False,
        help="Listen for other machines without TLS, or without asking who they are; show a token "
        "to them without TLS.",
    ),
]


if TYPE_CHECKING:
    OrchestratorFlags = Any
    EngineFlags = Any
else:
    OrchestratorFlags = flags_of(OrchestratorSettings)
    EngineFlags = flags_of(EngineSettings)


def orchestrator(
    *,
    flags: Annotated[OrchestratorFlags | None, Parameter(name="*")] = None,
    insecure: Insecure = False,
    config: Config = None,
) -> int:
    """Accept runs, keep their journals, and give them to engines, until SIGTERM or Ctrl-C."""
    with importing():
        from dagrun.cli.orchestrator import run_orchestrator  # noqa: PLC0415 — loaded on use

    settings = read(OrchestratorSettings, given(flags), environ=os.environ, config=config)
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

    settings = read(EngineSettings, given(flags), environ=os.environ, config=config)
    return run_engine(settings, insecure=insecure)

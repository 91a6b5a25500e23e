"""``dagrun orchestrator``."""

import logging
import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import trio
from cyclopts import Parameter

from dagrun.cli import output
from dagrun.cli.imports import importing
from dagrun.cli.options import Config
from dagrun.cli.roles import Insecure, flags_class, given, heeding
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read

if TYPE_CHECKING:
    Flags = Any
else:
    Flags = flags_class(OrchestratorSettings)

_log: Final = logging.getLogger(__name__)


def orchestrator(
    *,
    flags: Annotated[Flags | None, Parameter(name="*")] = None,
    insecure: Insecure = False,
    config: Config = None,
) -> int:
    """Accept runs, keep their journals, and give them to engines, until SIGTERM or Ctrl-C."""
    with importing():
        from dagrun.cli.logs import write_logs  # noqa: PLC0415 — loaded on use
        from dagrun.cli.plugins import load_with_warnings  # noqa: PLC0415 — as above
        from dagrun.cli.running import run_async  # noqa: PLC0415 — as above
        from dagrun.roles.configured import open_configured_orchestrator  # noqa: PLC0415
        from dagrun.roles.network import check_exposure  # noqa: PLC0415 — as above

    async def lead() -> None:
        with trio.CancelScope() as scope:
            async with (
                heeding(scope.cancel),
                open_configured_orchestrator(registry, settings, insecure=insecure) as it,
            ):
                for address in it.addresses:
                    _log.info("listening on %s", address)
                await trio.sleep_forever()
        _log.info("stopped")

    settings = read(OrchestratorSettings, given(flags), environ=os.environ, config=config)
    check_exposure(settings, insecure=insecure)
    registry = load_with_warnings().registry
    write_logs(settings.log_format, settings.log_level)
    run_async(lead)
    return output.DONE

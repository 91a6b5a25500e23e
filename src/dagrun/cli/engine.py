"""``dagrun engine``."""

import logging
import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import trio
from cyclopts import Parameter

from dagrun.cli import output
from dagrun.cli.imports import importing
from dagrun.cli.options import Config
from dagrun.cli.roles import Insecure, flags_class, given, heeding
from dagrun.settings.engine import EngineSettings
from dagrun.settings.reading import read

if TYPE_CHECKING:
    Flags = Any
else:
    Flags = flags_class(EngineSettings)

_log: Final = logging.getLogger(__name__)


def engine(
    *,
    flags: Annotated[Flags | None, Parameter(name="*")] = None,
    insecure: Insecure = False,
    config: Config = None,
) -> int:
    """Execute the runs that an orchestrator gives, until SIGTERM or Ctrl-C."""
    with importing():
        from dagrun.cli.logs import write_logs  # noqa: PLC0415 — loaded on use
        from dagrun.cli.plugins import load_with_warnings  # noqa: PLC0415 — as above
        from dagrun.cli.running import run_async  # noqa: PLC0415 — as above
        from dagrun.roles.configured import open_configured_engine  # noqa: PLC0415
        from dagrun.roles.network import check_exposure  # noqa: PLC0415 — as above

    async def work() -> None:
        told = trio.Event()
        async with heeding(told.set), open_configured_engine(registry, settings) as working:
            if working.address is not None:
                _log.info("listening on %s", working.address)
            await told.wait()
            _log.info("handing over, %g s at most; a second signal ends all", settings.grace)
            await working.hand_over(settings.grace)
        _log.info("stopped")

    settings = read(EngineSettings, given(flags), environ=os.environ, config=config)
    if settings.orchestrator is None or settings.port is not None:
        check_exposure(settings, insecure=insecure)
    registry = load_with_warnings().registry
    write_logs(settings.log_format, settings.log_level)
    run_async(work)
    return output.DONE

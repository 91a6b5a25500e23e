"""``dagrun engine``."""

import logging
from typing import Final

import trio

from dagrun.cli import output
from dagrun.cli.heeding import heeding
from dagrun.cli.logs import write_logs
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import run_async
from dagrun.roles.configured import open_configured_engine
from dagrun.roles.network import check_exposure, check_shown
from dagrun.settings.engine import EngineSettings

_log: Final = logging.getLogger(__name__)


def run_engine(settings: EngineSettings, *, insecure: bool) -> int:
    """Be an engine until a signal comes; then hand all runs over. Give the exit code.

    Raises:
        ConfigError: something that was chosen cannot be used, would let everybody in, or show the
            token to everybody.
        Unwelcome: the orchestrator will never take this engine.
    """
    if settings.orchestrator is None or settings.port is not None:
        check_exposure(settings, insecure=insecure)
    if settings.orchestrator is not None:
        tls = bool(settings.tls_ca or settings.tls_cert)
        check_shown(settings.orchestrator, settings.token, tls=tls, insecure=insecure)
    registry = load_with_warnings().registry
    write_logs(settings.log_format, settings.log_level)

    async def work() -> None:
        told = trio.Event()
        async with heeding(told.set), open_configured_engine(registry, settings) as working:
            if working.address is not None:
                _log.info("listening on %s", working.address)
            await told.wait()
            _log.info("handing over, %g s at most; a second signal ends all", settings.grace)
            await working.hand_over(settings.grace)
        _log.info("stopped")

    run_async(work)
    return output.DONE

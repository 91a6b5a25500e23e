"""``dagrun orchestrator``."""

import logging
from typing import Final

import trio

from dagrun.cli import output
from dagrun.cli.heeding import heeding
from dagrun.cli.logs import write_logs
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import run_async
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.network import check_exposure
from dagrun.roles.stores import make_store
from dagrun.settings.orchestrator import OrchestratorSettings

_log: Final = logging.getLogger(__name__)


def run_orchestrator(settings: OrchestratorSettings, *, insecure: bool) -> int:
    """Be an orchestrator until a signal comes. Give the exit code.

    Raises:
        ConfigError: something that was chosen cannot be used, or would let everybody in.
    """
    registry = load_with_warnings().registry
    place = make_store(registry, settings.store, settings.data_dir)
    # Whether there are tokens can be seen only when it leads.
    check_exposure(settings, insecure=insecure, has_tokens=place.may_be_filled)
    write_logs(settings.log_format, settings.log_level)

    async def lead() -> None:
        with trio.CancelScope() as scope:
            async with (
                heeding(scope.cancel),
                open_configured_orchestrator(registry, settings, insecure=insecure) as leading,
            ):
                for address in leading.addresses:
                    _log.info("listening on %s", address)
                await trio.sleep_forever()
        _log.info("stopped")

    run_async(lead)
    return output.DONE

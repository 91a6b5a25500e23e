"""Whom a command asks: a server, or the data directory itself."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from dagrun.cli.options import Asked, client_of, settings_of
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.remote import with_server
from dagrun.cli.running import run_async
from dagrun.ports.management import Management
from dagrun.roles.management.directory import open_data_directory
from dagrun.settings import Settings
from dagrun.settings.client import ClientSettings

T = TypeVar("T")


@attrs.frozen
class Answerer:
    """Who has the answers."""

    _where: ClientSettings | Settings
    """Says how to reach the server, or where the data directory is."""

    @property
    def place(self) -> str:
        """Say whose answer it was, behind what it was not."""
        if isinstance(self._where, ClientSettings):
            return f"on {self._where.server}"
        return f"in {self._where.data_dir}"

    def ask(self, use: Callable[[Management], Awaitable[T]], *, makes: bool = False) -> T:
        """Do something with who has the answers; see :func:`ask`."""
        if isinstance(self._where, ClientSettings):
            return with_server(self._where, use)
        settings, registry = self._where, load_with_warnings().registry

        async def call() -> T:
            async with open_data_directory(registry, settings, makes=makes) as management:
                return await use(management)

        return run_async(call)


def answerer(asked: Asked) -> Answerer:
    """Give who has the answers.

    Raises:
        ConfigError: the settings are wrong, or name both.
    """
    client = client_of(asked.config, server=asked.server, data_dir=asked.data_dir)
    return Answerer(client or settings_of(asked.config, data_dir=asked.data_dir))


def ask(asked: Asked, use: Callable[[Management], Awaitable[T]], *, makes: bool = False) -> T:
    """Do something with who has the answers.

    Args:
        asked: says who that is.
        use: does it.
        makes: whether a data directory is made that is missing; else there is nothing in it.

    Raises:
        Unreachable: the server does not answer.
        AccessError: it does not let the caller in.
        DagrunError: what is said is wrong.
    """
    return answerer(asked).ask(use, makes=makes)

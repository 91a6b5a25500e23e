"""Whom a command asks: a server, or the data directory itself."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import attrs

from dagrun.builtin.leadership import leader_of
from dagrun.cli import output
from dagrun.cli.flags import given
from dagrun.cli.options import Asked, client_of, settings_of
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.remote import with_server
from dagrun.cli.running import run_async
from dagrun.errors import ConfigError, NotFound, Unreachable
from dagrun.ports.management import Management
from dagrun.roles.management.directory import open_data_directory
from dagrun.settings import Settings
from dagrun.settings.client import SERVER, ClientSettings
from dagrun.settings.names import flag_of

T = TypeVar("T")


@attrs.frozen
class Answerer:
    """Who has the answers."""

    _where: ClientSettings | Settings
    """Says how to reach the server, or where the data directory is."""

    _unled: Path | None = None
    """The data directory, if the server was taken only since no orchestrator leads that."""

    @property
    def place(self) -> str:
        """Say whose answer it was, behind what it was not."""
        return f"{'on' if isinstance(self._where, ClientSettings) else 'in'} {self.name}"

    @property
    def name(self) -> str:
        """Give the address of the server, or the path of the data directory."""
        if isinstance(self._where, ClientSettings):
            return str(self._where.server)
        return str(self._where.data_dir)

    @property
    def server(self) -> str | None:
        """Give the address of the server; None for a data directory."""
        return self.name if isinstance(self._where, ClientSettings) else None

    def ask(self, use: Callable[[Management], Awaitable[T]], *, makes: bool = False) -> T:
        """Do something with who has the answers; see :func:`ask`."""
        if isinstance(self._where, ClientSettings):
            with self._saying_why():
                return with_server(self._where, use)
        settings, registry = self._where, load_with_warnings().registry

        async def call() -> T:
            async with open_data_directory(registry, settings, makes=makes) as management:
                return await use(management)

        return run_async(call)

    def note_unled(self) -> None:
        """Say of a server that nobody named that other commands do not ask it."""
        if self._unled is not None:
            output.note(f"dagrun: {self._why()}")

    def _why(self) -> str:
        return (
            f"{self.name} is asked, since no orchestrator leads {self._unled}; to let all commands "
            f"ask it, set DAGRUN_SERVER={self.name}"
        )

    @contextmanager
    def _saying_why(self) -> Iterator[None]:
        """Say of a server that nobody named why it was asked, if it is of no help."""
        try:
            yield
        except Unreachable as error:
            if self._unled is None:
                raise
            raise Unreachable(
                f"{error}; start an orchestrator with: dagrun orchestrator, or name one with "
                "--server host:port, or DAGRUN_SERVER"
            ) from error
        except NotFound as error:
            if self._unled is None:
                raise
            raise NotFound(f"{error}; {self._why()}") from error


def answerer(asked: Asked) -> Answerer:
    """Give who has the answers.

    Raises:
        ConfigError: the settings are wrong, or name both, or flags say how to reach a server, and
            none is named.
    """
    client = client_of(asked)
    if client.server is not None:
        return Answerer(client)
    if flags := given(asked.server):
        raise ConfigError(f"{flag_of(next(iter(flags)))} is for a server: name one with --server")
    return Answerer(settings_of(asked.config, data_dir=asked.data_dir))


def orchestrator_of(asked: Asked, what: str) -> Answerer:
    """Give the orchestrator to ask for what only one can do.

    That is the one that is named, or else leads the data directory, or else is where one is if
    nothing is said.

    Raises:
        ConfigError: the settings are wrong, or name a data directory that none leads.
        Unreachable: the one that leads it does not listen yet.
    """
    client = client_of(asked)
    if client.server is not None:
        return Answerer(client)
    data_dir = settings_of(asked.config, data_dir=asked.data_dir).data_dir
    leader = leader_of(data_dir)
    if leader is None and asked.data_dir is not None:
        raise ConfigError(
            f"{what} needs a running orchestrator, and none leads {data_dir}: start one with: "
            f"dagrun orchestrator --data-dir {data_dir}"
        )
    if leader is None:
        return Answerer(attrs.evolve(client, server=SERVER), data_dir)
    if leader.address is None:
        raise Unreachable(
            f"process {leader.pid} begins to lead {data_dir}; try again in a moment, or name where it "
            "listens with --server"
        )
    return Answerer(attrs.evolve(client, server=leader.address))


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

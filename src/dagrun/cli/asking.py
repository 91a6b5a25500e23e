"""Whom a command asks: a server, or the data directory itself."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from dagrun.cli.options import Asked, client_of, settings_of
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.remote import with_server
from dagrun.cli.running import run_async
from dagrun.ports.management import Management
from dagrun.roles.management.directory import open_data_directory

T = TypeVar("T")


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
    client = client_of(asked.config, server=asked.server, data_dir=asked.data_dir)
    if client is not None:
        return with_server(client, use)
    settings = settings_of(asked.config, data_dir=asked.data_dir)
    registry = load_with_warnings().registry

    async def call() -> T:
        async with open_data_directory(registry, settings, makes=makes) as management:
            return await use(management)

    return run_async(call)


def place(asked: Asked) -> str:
    """Say whose answer it was, behind what it was not."""
    client = client_of(asked.config, server=asked.server, data_dir=asked.data_dir)
    if client is not None:
        return f"on {client.server}"
    return f"in {settings_of(asked.config, data_dir=asked.data_dir).data_dir}"

"""What to say when a server breaks off what was followed."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dagrun.cli.flags import given
from dagrun.cli.options import Asked
from dagrun.errors import Unreachable
from dagrun.settings.names import flag_of


def command_again(asked: Asked, words: Sequence[str], *, server: str | None = None) -> str:
    """Give a command that asks whom this one asked. No token is in it.

    Args:
        asked: how that was named.
        words: what the command is, behind ``dagrun``.
        server: whom it asks if that was not named.
    """
    flags = {name: value for name, value in given(asked.server).items() if name != "token"}
    if server is not None and asked.data_dir is None:
        flags.setdefault("server", server)
    flags |= {"data_dir": asked.data_dir, "config": asked.config}
    named = [(flag_of(name), str(value)) for name, value in flags.items() if value is not None]
    json = ["--json"] if asked.json else []
    return shlex.join(["dagrun", *words, *json, *(word for pair in named for word in pair)])


@contextmanager
def saying_how_to_go_on(
    asked: Asked, command: Callable[[], Sequence[str] | None], *, server: str | None = None
) -> Iterator[None]:
    """Name the command with which to go on, if the server breaks off within the block.

    Args:
        asked: how the server was named.
        server: whom it asks if that was not named.
        command: gives the words of the command behind ``dagrun``; None before anything has begun.

    Raises:
        Unreachable: it does not answer, or breaks off.
    """
    try:
        yield
    except Unreachable as error:
        if (words := command()) is None:
            raise
        again = command_again(asked, words, server=server)
        raise Unreachable(f"{error}; when it answers again, go on with: {again}") from error

"""What to say when a server breaks off what was followed."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dagrun.cli.flags import given
from dagrun.cli.options import Asked
from dagrun.errors import Unreachable


@contextmanager
def saying_how_to_go_on(
    asked: Asked, command: Callable[[], Sequence[str] | None]
) -> Iterator[None]:
    """Name the command with which to go on, if the server breaks off within the block.

    Args:
        asked: how the server was named.
        command: gives the words of the command behind ``dagrun``; None before anything has begun.

    Raises:
        Unreachable: it does not answer, or breaks off.
    """
    try:
        yield
    except Unreachable as error:
        if (words := command()) is None:
            raise
        server = given(asked.server).get("server")
        more = [] if server is None else ["--server", str(server)]
        again = shlex.join(["dagrun", *words, *more])
        raise Unreachable(f"{error}; when it answers again, go on with: {again}") from error

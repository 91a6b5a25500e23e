"""How the command line imports what is large."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Let the garbage collector rest in the block, and leave for ever alone what was made in it.

    Modules and their classes live as long as the process. To look through them again and again, and
    once more at the end, would take a sixth of the time of a short run.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

"""Something that is asked of a process, and answered there."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import trio

from dagrun.errors import DagrunError

T = TypeVar("T")


class Call(Generic[T]):
    """One call: :meth:`run` is the process's side, :meth:`answer` that of who asks.

    Args:
        function: what is called.
        args: with what.
    """

    def __init__(self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args
        self._scope = trio.CancelScope()
        self._came = trio.Event()
        self._result: list[T] = []
        self._error: DagrunError | None = None

    async def run(self) -> None:
        """Do it, unless who asked has given up."""
        with self._scope:
            try:
                self._result.append(await self._function(*self._args))
            except DagrunError as error:
                self._error = error
            self._came.set()

    async def answer(self) -> T:
        """Wait for what comes of it. Cancelled, it gives up, and the process hears of that.

        Raises:
            DagrunError: it raised that.
        """
        try:
            await self._came.wait()
        finally:
            self._scope.cancel()
        if self._error is not None:
            raise self._error
        return self._result[0]

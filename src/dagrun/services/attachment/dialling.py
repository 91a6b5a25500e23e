"""An engine that dials out to its orchestrator, again and again."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from dagrun.errors import ChannelLost, sole
from dagrun.ports.transport import Channel
from dagrun.services.attachment.attachment import Attachment

FIRST: Final = 0.1  # seconds before the second try
FACTOR: Final = 2.0
LAST: Final = 5.0  # seconds that no pause passes, jitter included; nor one from beat to beat

LASTS: Final = 1.0  # seconds after which a conversation counts as one

NOBODY: Final = "no orchestrator: %s"

_log: Final = logging.getLogger(__name__)


class Dialling:
    """Opens a new stream whenever there is none.

    Args:
        attachment: talks on it.
        connect: opens a stream.
        draw: gives random numbers in [0, 1), so that engines do not come all at once.
    """

    def __init__(
        self,
        attachment: Attachment,
        connect: Callable[[], AbstractAsyncContextManager[Channel]],
        *,
        draw: Callable[[], float],
    ) -> None:
        self._attachment = attachment
        self._connect = connect
        self._draw = draw

    async def run(
        self, *, task_status: trio.TaskStatus["Dialling"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Dial until cancelled.

        Raises:
            Unwelcome: the orchestrator will never take this engine.
        """
        task_status.started(self)
        pause, told = FIRST, ""
        while True:
            before, begun = self._attachment.attached, trio.current_time()
            problem = await self._talk()
            lasted = trio.current_time() - begun >= LASTS
            _log.log(logging.DEBUG if problem == told else logging.WARNING, NOBODY, problem)
            attached = lasted and self._attachment.attached > before
            longest = min(LAST, self._attachment.interval)
            pause, told = (FIRST, "") if attached else (min(pause * FACTOR, longest), problem)
            await trio.sleep(pause * (0.5 + self._draw() / 2))

    async def _talk(self) -> str:
        """Give why there is no conversation any more."""
        problem = "the stream has ended"
        try:
            async with self._connect() as channel:
                await self._attachment.converse(channel)
        except* ChannelLost as group:
            problem = str(sole(group))
        return problem

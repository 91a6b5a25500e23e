"""Registers the documents of a folder at the start, and each again when it changes."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from dagrun.domain.document.sending import ToSend
from dagrun.errors import ConflictError, DefinitionError, StoreBusy, StoreFull
from dagrun.ports.management import Registered
from dagrun.services.workflow_folder.looking import Seen, changed, see
from dagrun.services.workflow_folder.watching import watch

TOLD: Final = 20
"""Problems of a document that are logged; ``dagrun validate`` tells all."""

_log: Final = logging.getLogger(__name__)


class WorkflowFolder:
    """Registers the documents of a folder at the start, and each again when it changes.

    A document that is wrong, or refused, is logged once, and looked at again when it, or a file
    that it names, has changed. One that goes takes nothing with it.

    Args:
        folder: where they are; not those in folders below it.
        read: reads a document, in a thread; raises ``DefinitionError`` if that cannot be done.
        register: keeps what was read of it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        read: Callable[[Path], ToSend],
        register: Callable[[Path, ToSend], Awaitable[Registered]],
    ) -> None:
        self._folder, self._read, self._register = folder, read, register
        self._seen: dict[Path, Seen] = {}
        self._put_off: set[Path] = set()
        """What could not be registered because of the store, and is tried again."""

        self._gone = False

    async def run(
        self, *, task_status: trio.TaskStatus["WorkflowFolder"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Register what is there, and from then on what changes, until cancelled."""
        await self._look()
        task_status.started(self)
        await watch(self._folder, self._look)

    async def _look(self) -> None:
        try:
            there, new = await trio.to_thread.run_sync(
                changed, self._folder, dict(self._seen), abandon_on_cancel=True
            )
        except OSError as error:
            if not self._gone:
                _log.error("%s cannot be looked into: %s", self._folder, error.strerror or error)
            self._gone = True
            return
        self._gone = False
        for file in self._seen.keys() - there:
            _log.info("%s is gone; what was registered of it stays", file)
            del self._seen[file]
        for file in new:
            await self._take(file)

    async def _take(self, file: Path) -> None:
        seen, read = await trio.to_thread.run_sync(see, file, self._read, abandon_on_cancel=True)
        before = self._seen.get(file)
        same = before is not None and before.digest == seen.digest
        if same or await self._is_settled(file, read):
            self._seen[file] = seen

    async def _is_settled(self, file: Path, read: ToSend | DefinitionError) -> bool:
        """Register a document. Give False if that is to be tried again."""
        try:
            if isinstance(read, DefinitionError):
                raise read
            registered = await self._register(file, read)
        except DefinitionError as error:
            _log.error("not registered: %s", _told(error))
        except ConflictError as error:
            _log.error("not registered: %s: %s", file, error)
        except (StoreFull, StoreBusy) as error:
            if file not in self._put_off:
                _log.warning("not registered yet: %s: %s", file, error)
            self._put_off.add(file)
            return False
        else:
            if registered.created:
                _log.info(
                    "%s %s is registered, from %s", registered.workflow_id, registered.version, file
                )
        self._put_off.discard(file)
        return True


def _told(error: DefinitionError) -> str:
    """Give what is wrong with a document in one line."""
    told = [str(problem) for problem in error.problems[:TOLD]]
    if (more := len(error.problems) - TOLD) > 0:
        told.append(f"and {more} more problems")
    return "; ".join(told)

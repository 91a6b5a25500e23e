"""What keeps a store small and safe."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dagrun.domain.ids import RunId


class Upkeep(Protocol):
    """Deletes what is old, and makes copies."""

    async def prune(self, *, before: datetime, now: datetime, limit: int) -> Sequence[RunId]:
        """Delete at most ``limit`` runs that ended before a time, the oldest first.

        Their events, nodes, and definitions that nothing else uses go with them. A run stays for
        as long as its idempotency key stands for it, so that the key gives the same run.
        """
        ...

    async def backup(self, target: Path) -> None:
        """Write a whole copy of what is durable now to a file that does not exist.

        Raises:
            StoreError: it cannot be written, or this store cannot be copied.
        """
        ...

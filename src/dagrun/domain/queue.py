"""TEMPORARY naive queue, replaced by the real one."""

import attrs

from dagrun.domain.ids import RunId


@attrs.frozen(kw_only=True)
class Entry:
    run_id: RunId
    workflow_id: str
    priority: int = 0
    fresh: bool = True
    key: str | None = None
    limit: int = 0


class Queue:
    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._running: dict[str, int] = {}
        self._taken: dict[str, int] = {}

    def push(self, entry: Entry) -> None:
        self._entries[entry.run_id] = entry

    def remove(self, run_id: str) -> Entry | None:
        return self._entries.pop(run_id, None)

    def next(self) -> Entry | None:
        free = [
            e
            for e in self._entries.values()
            if e.key is None or self._taken.get(e.key, 0) < e.limit
        ]
        if not free:
            return None
        best = min(
            free,
            key=lambda e: (-e.priority, e.fresh, self._running.get(e.workflow_id, 0), e.run_id),
        )
        return self._entries.pop(best.run_id)

    def started(self, entry: Entry) -> None:
        self._running[entry.workflow_id] = self._running.get(entry.workflow_id, 0) + 1
        if entry.key is not None:
            self._taken[entry.key] = self._taken.get(entry.key, 0) + 1

    def ended(self, entry: Entry) -> None:
        self._running[entry.workflow_id] -= 1
        if entry.key is not None:
            self._taken[entry.key] -= 1

"""The balancer ``pinned``: a key stays with the engine that had it first."""

from collections import OrderedDict
from typing import Final

from dagrun.ports.balancer import Balancer, Candidates

MOST_KEYS: Final = 10_000
"""Keys that are remembered. The one that was not asked for the longest is forgotten first."""


class Pinned(Balancer):
    """Gives a new key to the least loaded engine, and its later runs to the same one.

    So what an engine has at hand for a key, such as files or warm caches, is used again. When that
    engine is full, a run goes to another, and the key stays where it is.
    """

    def __init__(self) -> None:
        self._engines: OrderedDict[str, str] = OrderedDict()

    def left(self, engine_id: str) -> None:
        """Forget the engine; its keys go to others."""
        for key in [key for key, engine in self._engines.items() if engine == engine_id]:
            del self._engines[key]

    def choose(self, key: str, candidates: Candidates) -> str:
        """Give the engine of the key if it has room, else the least loaded one."""
        engine_id = self._engines.get(key)
        if engine_id is None:
            engine_id = candidates.least_loaded()
            self._remember(key, engine_id)
        else:
            self._engines.move_to_end(key)
        return engine_id if candidates.get(engine_id) else candidates.least_loaded()

    def _remember(self, key: str, engine_id: str) -> None:
        self._engines[key] = engine_id
        if len(self._engines) > MOST_KEYS:
            self._engines.popitem(last=False)

"""The balancers that choose the engines of runs."""

import logging
from collections.abc import Callable
from typing import Final

from dagrun.ports.balancer import Balancer, Candidates

_log: Final = logging.getLogger(__name__)


class Balancers:
    """Balancers by name, each of which knows all engines.

    They come from plugins, and no run pays for what one of them does wrong: then the least loaded
    engine gets it. The first error is in the log, and the next one after a choice that went well.

    Args:
        make: makes the balancer of a name, or the default one for None.
    """

    def __init__(self, make: Callable[[str | None], Balancer]) -> None:
        self._make = make
        self._made: dict[str | None, Balancer] = {}
        self._engines: dict[str, None] = {}
        self._failing: set[str | None] = set()

    def joined(self, engine_id: str) -> None:
        """Tell them of an engine."""
        self._engines[engine_id] = None
        for name, balancer in self._made.items():
            self._try(name, balancer.joined, engine_id)

    def left(self, engine_id: str) -> None:
        """Tell them that an engine is gone."""
        del self._engines[engine_id]
        for name, balancer in self._made.items():
            self._try(name, balancer.left, engine_id)

    def choose(self, name: str | None, key: str, candidates: Candidates) -> str:
        """Give the engine id of one of some candidates.

        Args:
            name: of the balancer; None for the default one.
            key: what runs that belong together have in common.
            candidates: at least one.
        """
        try:
            chosen = _checked(self._find(name).choose(key, candidates), candidates)
        except Exception as error:  # noqa: BLE001 — a plugin's
            self._failed(name, error)
            return candidates.least_loaded()
        self._failing.discard(name)
        return chosen

    def _find(self, name: str | None) -> Balancer:
        if name not in self._made:
            balancer = self._made[name] = self._make(name)
            for engine_id in self._engines:
                self._try(name, balancer.joined, engine_id)
        return self._made[name]

    def _try(self, name: str | None, tell: Callable[[str], None], engine_id: str) -> None:
        try:
            tell(engine_id)
        except Exception as error:  # noqa: BLE001 — a plugin's
            self._failed(name, error)

    def _failed(self, name: str | None, error: Exception) -> None:
        level = logging.DEBUG if name in self._failing else logging.ERROR
        self._failing.add(name)
        what = "the default balancer" if name is None else f"balancer {name}"
        message = "%s failed, the least loaded engine gets the run: %r"
        _log.log(level, message, what, error, exc_info=error)


def _checked(chosen: object, candidates: Candidates) -> str:
    if not isinstance(chosen, str) or candidates.get(chosen) is None:
        raise LookupError(f"it chose {chosen!r}, which is no candidate")
    return chosen

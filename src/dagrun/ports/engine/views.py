"""How an engine looks from outside, to people and to the orchestrators that ask it."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from dagrun.domain.ids import RunId
from dagrun.ports.engine.offers import Offers

IDLE: Final = "idle"
RUNNING: Final = "running"
DRAINING: Final = "draining"
UNHEALTHY: Final = "unhealthy"

"""How an engine is, in lists."""


@attrs.frozen(kw_only=True)
class EngineView:
    """An engine in a list, with the names of ``engines list --json``."""

    id: str
    address: str
    status: str
    capacity: int
    active_runs: int
    labels: Mapping[str, str]


@attrs.frozen(kw_only=True)
class EngineReport:
    """What an engine says of itself when it is asked."""

    engine_id: str
    instance: str
    """Random, new with each start of its process."""

    release: str
    status: str
    """One of :data:`IDLE`, :data:`RUNNING`, :data:`DRAINING` and :data:`UNHEALTHY`; the last one says
    that no orchestrator is heard, or that the engine's own disk cannot be used."""

    capacity: int
    runs: Sequence[tuple[RunId, int]]
    """Those that it has, with their epochs."""

    offers: Offers


@attrs.frozen(kw_only=True)
class ReportSeen:
    """What an orchestrator knows of the runs that an engine's report names."""

    kept: Sequence[tuple[RunId, int]]
    """Those that are the engine's, with their epochs."""

    stopped: Sequence[tuple[RunId, int]]
    """Those that are not, with the epochs under which they were named."""

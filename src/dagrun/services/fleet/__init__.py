"""The engines in other processes: who is attached, what each has, and for how long.

:class:`Fleet` is made of parts that know only those above them: ``remote`` (one engine and its
runs), ``session`` (one stream) and ``leases``.
"""

from dagrun.ports.engine import EngineView
from dagrun.services.fleet.fleet import Fleet, FleetStatistics
from dagrun.services.fleet.remote import RemoteEngine

__all__ = ["EngineView", "Fleet", "FleetStatistics", "RemoteEngine"]

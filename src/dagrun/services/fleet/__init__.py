"""The engines in other processes: who is attached, what each has, and for how long.

:class:`Fleet` puts the parts together. Each knows only those above it: ``remote`` (one engine and
its runs), ``roster`` (which engines there are), ``assignments`` (which run is with which engine);
then what changes these: ``dispatching`` (a run goes out), ``returns`` (it comes back),
``reconciler`` (an engine comes with what it has), ``expiry`` (it was silent for a lease),
``feedback`` (the journal took its events, or refused them); at last ``session`` (one stream).
"""

from dagrun.ports.engine import EngineView
from dagrun.services.fleet.fleet import Fleet, FleetStatistics
from dagrun.services.fleet.remote import RemoteEngine

__all__ = ["EngineView", "Fleet", "FleetStatistics", "RemoteEngine"]

"""An orchestrator and its engines in one nursery, on virtual time, with faults as data.

The services, the fold and the wiring are the production ones; only the clock, the transport, the
store and what a node does are replaced. :func:`~dagrun.testing.simulation.history.simulate` plays
one script, and gives what is wrong with its history.
"""

from dagrun.testing.simulation.faults import Fault, FaultKind, Script
from dagrun.testing.simulation.history import History, simulate

__all__ = ["Fault", "FaultKind", "History", "Script", "simulate"]

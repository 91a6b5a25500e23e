"""What an orchestrator and an engine say to each other, whatever lies between them.

An orchestrator asks a :class:`EngineLink`, and hears as an :class:`EngineListener`. With an engine
elsewhere, that is what speaks for the engine; it tells a :class:`Placer` of the runs, and at the
other end what carries the words asks an :class:`AttachedEngine`. Each has a module, with what it
says: ``link``, ``listener``, ``placer`` and ``attached``. Others may look on: ``offers`` (what an
engine has), ``views`` (how it is) and ``events`` (what becomes durable of its runs).
"""

from dagrun.ports.engine.attached import AttachedEngine, Holding
from dagrun.ports.engine.events import DurableEvents, EngineEvents
from dagrun.ports.engine.link import IS_DRAINING, EngineLink
from dagrun.ports.engine.listener import EngineListener
from dagrun.ports.engine.offers import Offers
from dagrun.ports.engine.placer import Placer
from dagrun.ports.engine.views import (
    DRAINING,
    IDLE,
    RUNNING,
    UNHEALTHY,
    EngineReport,
    EngineView,
    ReportSeen,
)

__all__ = [
    "DRAINING",
    "IDLE",
    "IS_DRAINING",
    "RUNNING",
    "UNHEALTHY",
    "AttachedEngine",
    "DurableEvents",
    "EngineEvents",
    "EngineLink",
    "EngineListener",
    "EngineReport",
    "EngineView",
    "Holding",
    "Offers",
    "Placer",
    "ReportSeen",
]

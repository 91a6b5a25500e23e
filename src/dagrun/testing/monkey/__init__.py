"""An orchestrator and engines in real processes, and a monkey that kills, freezes and cuts them off."""

from dagrun.testing.monkey.rage import Monkey
from dagrun.testing.monkey.troop import Troop

__all__ = ["Monkey", "Troop"]

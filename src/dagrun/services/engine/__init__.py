"""Executes runs: starts what may start, and journals how it ended."""

from dagrun.services.engine.engine import Engine, EngineStatistics

__all__ = ["Engine", "EngineStatistics"]

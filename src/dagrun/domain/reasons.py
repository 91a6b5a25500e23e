"""Why things happen to runs and nodes: words that stand in journals."""

from typing import Final

REQUESTED: Final = "requested"
"""Why a run is being cancelled, or is paused, that somebody asked for it."""

TIMEOUT: Final = "timeout"
"""Why a run is being cancelled that took too long, and the type of its error."""

POISON: Final = "poison"
"""Why a run is paused of which one node seems to end its engines."""

START_TIMEOUT: Final = "start_timeout"
"""Type of the error of a run that waited too long in the queue."""

ENGINE_LOST: Final = "engine_lost"
"""Type of the error of what ran on an engine that was lost, and is not to be done again."""

TOO_LARGE: Final = "output"
"""Type of the error of outputs that no node may have."""

MOST_LOSSES: Final = 3
"""Engines that may be lost in a row with the same node running."""

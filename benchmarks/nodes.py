"""The Python nodes of the benchmarks."""

import time

FIRST: list[float] = []
"""When nodes of :func:`note` were called, by ``time.perf_counter``."""


def noop(**_inputs: object) -> dict[str, object]:
    """Do nothing."""
    return {}


def note(**_inputs: object) -> dict[str, object]:
    """Remember when."""
    FIRST.append(time.perf_counter())
    return {}


def when(**_inputs: object) -> dict[str, object]:
    """Tell when, by a clock that all processes of a machine share."""
    return {"at": time.perf_counter()}

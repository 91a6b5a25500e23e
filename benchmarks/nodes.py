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

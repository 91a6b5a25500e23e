"""Who an engine is."""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Identity:
    """Who an engine is, and what it offers."""

    engine_id: str
    instance: str
    """Random, new with each start of the process."""

    release: str
    capacity: int
    executors: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, float] = attrs.field(factory=dict)

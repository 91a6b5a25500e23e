"""What engines have of what runs need."""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Offers:
    """What an engine has of what runs may need."""

    executors: frozenset[str]
    labels: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, float] = attrs.field(factory=dict)
    """Name and amount."""

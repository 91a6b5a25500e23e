"""What starts runs. So far a trigger kind can only check its options."""

from collections.abc import Mapping
from typing import Protocol

from dagrun.domain.workflow import JSON


class TriggerKind(Protocol):
    """A kind of trigger, such as ``cron``.

    The class may carry ``options``: an attrs class or a JSON Schema of the trigger's options.
    """

    def check(self, options: Mapping[str, JSON]) -> Mapping[str, str]:
        """Find what a schema cannot say is wrong, such as a schedule that never comes.

        Gives option → message; empty when all is well. ``options`` fits the schema.
        """
        ...

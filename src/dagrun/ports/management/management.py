"""All of it in one."""

from typing import Protocol

from dagrun.ports.management.engines import EngineManagement
from dagrun.ports.management.events import EventManagement
from dagrun.ports.management.runs import RunManagement
from dagrun.ports.management.workflows import WorkflowManagement


class Management(Protocol):
    """What an orchestrator can be asked."""

    @property
    def workflows(self) -> WorkflowManagement:
        """The registered workflows."""
        ...

    @property
    def runs(self) -> RunManagement:
        """The runs."""
        ...

    @property
    def events(self) -> EventManagement:
        """What happens."""
        ...

    @property
    def engines(self) -> EngineManagement:
        """The engines."""
        ...

"""What clients can ask an orchestrator for, in its own process."""

from dagrun.roles.management.managed import Managed, manage

__all__ = ["Managed", "manage"]

"""What clients can ask an orchestrator for, in its own process."""

from dagrun.roles.management.managed import Managed, manage, manage_workflows

__all__ = ["Managed", "manage", "manage_workflows"]

"""Registers the documents of a folder, and those that change there."""

from dagrun.services.workflow_folder.folder import WorkflowFolder

__all__ = ["WorkflowFolder"]

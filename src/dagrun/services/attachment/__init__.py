"""Keeps an engine attached to an orchestrator in another process."""

from dagrun.services.attachment.attachment import Attachment, Identity
from dagrun.services.attachment.lease import Lease
from dagrun.services.attachment.shipping import Shipping

__all__ = ["Attachment", "Identity", "Lease", "Shipping"]

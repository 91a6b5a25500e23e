"""Keeps an engine attached to an orchestrator in another process.

:class:`Attachment` holds the conversation. What it is about has a place each: ``outbox`` (what is
to be sent, in which order), ``runs`` (what the engine was given, and gives back), ``heartbeats``,
``lease`` and ``lease_watch`` (until when it may work), ``remote_children`` and ``shipping`` (logs).
"""

from dagrun.services.attachment.attachment import Attachment
from dagrun.services.attachment.handshake import Unwelcome
from dagrun.services.attachment.identity import Identity
from dagrun.services.attachment.lease import Lease
from dagrun.services.attachment.shipping import Shipping

__all__ = ["Attachment", "Identity", "Lease", "Shipping", "Unwelcome"]

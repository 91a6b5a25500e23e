"""Runs that are to be accepted, and what each must have for that."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw


@attrs.frozen(kw_only=True)
class Parent:
    """What started a child run. There is one child for each run, node, item and attempt."""

    run_id: RunId
    epoch: int
    """The parent's, when it asked. The child is not stored under another one, nor when the parent
    has ended or is being cancelled, or has a message that cancels it."""

    node_id: str
    item: int | None
    attempt: int
    depth: int
    """How many runs are above the child; 1 for a child of a run that has no parent."""

    wait: bool = True
    """Whether the parent is told when the child ends."""


@attrs.frozen(kw_only=True)
class Slot:
    """One of the places that runs with the same concurrency key share."""

    key: str
    """The evaluated key with its scope in front."""

    limit: int
    """Most runs with this key that are admitted and have not ended."""

    at_once: bool = False
    """Whether the run is refused unless it can be admitted in the transaction that stores it."""


@attrs.frozen(kw_only=True)
class Request:
    """What makes two submissions of a workflow one."""

    key: str
    hash: str
    """Stands for what is asked for; the same key with another one is a conflict."""


@attrs.frozen(kw_only=True)
class NewRun:
    """A run to be accepted."""

    run_id: RunId
    workflow_id: str
    version: str
    definition_hash: str
    inputs: Raw
    owner: str
    """Who executes it: the name of a lock that the process holds."""

    priority: int = 0
    created_at: datetime
    slot: Slot | None = None
    """What it must have to be admitted; None without ``concurrency``."""

    request: Request | None = None
    """None for a submission without an idempotency key."""

    parent: Parent | None = None
    """For whom it runs; None for a run that no other one started."""

    rerun_of: RunId | None = None
    """The run of which it is run again."""


class Rejection(StrEnum):
    """Why a new run was not stored."""

    NO_SLOT = "no_slot"
    OTHER_REQUEST = "other_request"
    """Its idempotency key was used for something else."""

    ORPHAN = "orphan"
    """Its parent has ended, is being cancelled, or goes on under another epoch."""


class Submissions(Protocol):
    """Knows which submissions there were."""

    async def standing(self, run: NewRun) -> RunId | Rejection | None:
        """Give the run that the idempotency key of a new run stands for, and store nothing.

        None says that it stands for none, and :attr:`Rejection.OTHER_REQUEST` that it was used for
        something else.
        """
        ...

"""How runs look to those who ask."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from dagrun.domain.result import RunResult
from dagrun.domain.status import RunStatus


@attrs.frozen(kw_only=True)
class RunSummary:
    """A run in a list, with the names of ``runs list --json``."""

    run_id: str
    workflow_id: str
    version: str
    status: RunStatus
    resumable: bool
    """Whether it was cut off: it has not ended, and its process has."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Mapping[str, str] | None
    """``{type, message}``."""

    rerun_of: str | None = None
    """The run of which it is run again; that one may have been pruned."""


@attrs.frozen(kw_only=True)
class RunView:
    """How a run stands, or how it went."""

    result: RunResult
    inputs: Mapping[str, Any]
    resumable: bool
    """Whether it was cut off: it has not ended, and its process has."""


@attrs.frozen(kw_only=True)
class ChildRun:
    """A run that another one started, or that was started for another one."""

    run: RunSummary
    parent_run_id: str
    node_id: str | None
    """The parent's node that started it; None if a client did."""

    item: int | None
    """Index of the ``for_each`` item that it is for."""

    attempt: int | None
    """Number of the node's attempt, from 1; None without a node."""

    depth: int
    """How many runs are above it, from 1."""


@attrs.frozen(kw_only=True)
class Change:
    """What came of a request to change a run."""

    run_id: str
    changed: bool
    """False if it stood so before, was asked for that already, or has ended."""

    status: RunStatus
    """How the run stands now. What was asked for is durable and may only come: an engine does it."""


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a run stands where it stands."""

    run_id: str
    status: RunStatus
    reasons: Sequence[str]
    """Sentences for people, from the run to its nodes."""


@attrs.frozen(kw_only=True)
class LogPiece:
    """A piece of what an attempt wrote."""

    node_id: str
    item: int | None
    attempt: int
    text: str

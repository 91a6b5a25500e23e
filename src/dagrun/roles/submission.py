"""What is to be run, and what is made of it before it is stored."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from dagrun.domain import decide
from dagrun.domain.checks import MAX_PRIORITY
from dagrun.domain.events import Event
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.fold import apply
from dagrun.domain.ids import RANDOM_BYTES, run_id
from dagrun.domain.jsonvalue import NotJson, Raw, decode, encode
from dagrun.domain.plan import Plan
from dagrun.domain.rerun import Again, keep
from dagrun.domain.scope import run_key
from dagrun.domain.serialize import content_hash
from dagrun.domain.state import RunState
from dagrun.domain.templates import Template
from dagrun.domain.workflow import OnLimit, Scope, Workflow
from dagrun.errors import ConfigError, InputError, Problem
from dagrun.ports.store import NewRun, Parent, Request, Slot
from dagrun.services.dispatcher import Ticket
from dagrun.services.plans import Prepared

MAX_KEY: Final = 512  # characters of an idempotency key


@attrs.frozen
class Asked:
    """What a caller asked for. What becomes of it may be another thing after each registration."""

    version: str | None
    """The version that was named, or None for the current one."""

    inputs: Mapping[str, Any]
    """As they were given, without defaults."""


@attrs.frozen(kw_only=True)
class Submission:
    """What is to be run."""

    workflow: Workflow
    inputs: Mapping[str, Any]
    base: Path | None = None
    """The folder of the workflow's document, if it came from a file."""

    priority: int | None = None
    """None takes the workflow's."""

    idempotency_key: str | None = None
    """Submissions of a workflow with the same key are one run, for 24 hours."""

    asked: Asked | None = None
    """What its caller asked for, which is what submissions with the same key have in common. None
    for a caller who asked for just this version and these inputs."""

    parent: Parent | None = None
    """For whom it runs."""

    held: frozenset[str] = frozenset()
    """Concurrency keys of which runs that wait for it have slots. It shares these."""

    again: Again | None = None
    """What is run once more of a run that has ended; the rest is kept from there."""


def accept(
    submission: Submission,
    prepared: Prepared,
    *,
    owner: str,
    now: datetime | None = None,
    draw: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[NewRun, Sequence[Event], Ticket]:
    """Give a run an id: what is to be stored, its first events, and its ticket.

    Raises:
        InputError: JSON cannot hold the inputs, they are too large, or a key fails for them; or
            the priority or the idempotency key is none.
        ConfigError: the name of the folder is no text.
    """
    _check_priority(submission.priority)
    _check_key(submission.idempotency_key)
    workflow, now = submission.workflow, now or datetime.now(UTC)
    inputs = _encoded(submission.inputs)
    state = RunState(prepared.plan, run_id(now, draw(RANDOM_BYTES)), inputs)
    again = submission.again
    rerun_of = None if again is None else again.of.run_id
    decide.submit(state, now, base=folder_name(submission.base), rerun_of=rerun_of)
    if again is not None:
        keep(again, state, now)
    slot = _slot(state)
    events = state.take_events()
    new_run = NewRun(
        run_id=state.run_id,
        workflow_id=workflow.id,
        version=workflow.version,
        definition_hash=prepared.definition.hash,
        inputs=inputs,
        owner=owner,
        priority=workflow.priority if submission.priority is None else submission.priority,
        created_at=now,
        slot=None if slot is not None and slot.key in submission.held else slot,
        request=_request(submission, inputs),
        parent=submission.parent,
        rerun_of=rerun_of,
    )
    return new_run, events, _ticket(state, new_run, events)


def folder_name(base: Path | None) -> str | None:
    """Give the name of a folder as it is stored.

    Raises:
        ConfigError: it is no text. One that is not UTF-8 would end the journal of all runs.
    """
    if base is None:
        return None
    if not _is_text(name := str(base)):
        raise ConfigError(f"the name of the folder {name!a} is not UTF-8; rename it")
    return name


def _is_text(value: str) -> bool:
    """Whether a store keeps a text as it is; it may cut one at a NUL, and take two keys for one."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _check_priority(priority: int | None) -> None:
    # In Python anything can be given, and what is no integer would be stored as it is.
    if priority is None or (type(priority) is int and -MAX_PRIORITY <= priority <= MAX_PRIORITY):
        return
    message = f"the priority must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}"
    raise InputError([Problem(message=message)])


def _check_key(key: str | None) -> None:
    if key is None or (type(key) is str and 1 <= len(key) <= MAX_KEY and _is_text(key)):
        return
    message = f"the idempotency key must be a UTF-8 text, not empty, of at most {MAX_KEY} characters, without NUL"
    raise InputError([Problem(message=message)])


def _ticket(state: RunState, run: NewRun, events: Sequence[Event]) -> Ticket:
    # What is kept may be large, and the run may wait for long: it is read when its turn comes.
    make = partial(_begin, state.plan, state.inputs, events[0]) if len(events) == 1 else None
    workflow = state.plan.workflow
    patience = workflow.start_timeout
    return Ticket(
        run_id=state.run_id,
        workflow=workflow,
        make=make,
        ready=None if make is None else state,
        priority=run.priority,
        slot=run.slot,
        child=run.parent is not None,
        admitted=run.slot is not None and run.slot.at_once,
        needs=state.plan.needs,
        key=_run_key(state, state.plan.placement_key, "placement"),
        due=None if patience is None else trio.current_time() + patience,
    )


def _begin(plan: Plan, inputs: Raw, accepted: Event) -> RunState:
    """Make the state of a run that was accepted, and nothing else."""
    state = RunState(plan, accepted.run_id, inputs)
    apply(state, accepted)
    return state


def _slot(state: RunState) -> Slot | None:
    concurrency = state.plan.workflow.concurrency
    key = _run_key(state, state.plan.concurrency_key, "concurrency")
    if concurrency is None or key is None:
        return None
    scope = "*" if concurrency.scope is Scope.GLOBAL else state.plan.workflow.id
    return Slot(
        key=f"{scope}/{key}",
        limit=concurrency.limit,
        at_once=concurrency.on_limit is OnLimit.REJECT,
    )


def _run_key(state: RunState, template: Template | None, what: str) -> str | None:
    if template is None:
        return None
    try:
        return run_key(state, template)
    except ExpressionError as error:
        path = f"spec.{what}.key"
        raise InputError(
            [Problem(message=f"it fails for these inputs: {error}", path=path)]
        ) from error


def _request(submission: Submission, inputs: Raw) -> Request | None:
    if submission.idempotency_key is None:
        return None
    workflow, wanted = submission.workflow, submission.asked
    if wanted is None:
        asked = [workflow.id, workflow.version, decode(inputs)]
    else:
        asked = [workflow.id, wanted.version, decode(_encoded(wanted.inputs))]
    if (again := submission.again) is not None:
        asked.append([again.of.run_id, sorted(again.nodes), sorted(again.whole)])
    return Request(
        key=submission.idempotency_key,
        hash=content_hash(json.dumps(asked, sort_keys=True).encode()),
    )


def _encoded(inputs: Mapping[str, Any]) -> Raw:
    try:
        return encode(dict(inputs))
    except NotJson as error:
        raise InputError([Problem(message=f"the inputs are refused: {error}")]) from error

"""Make one attempt: call the executor, and say what came of it."""

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio

from dagrun.domain import scope
from dagrun.domain.durations import format_duration
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.jsonvalue import NotJson, Raw, encode
from dagrun.domain.masking import MASK
from dagrun.domain.output_schema import TYPE as OUTPUT_SCHEMA
from dagrun.domain.output_schema import OutputSchema
from dagrun.domain.state import RunState, Work
from dagrun.errors import HostTrouble, NodeError, sole
from dagrun.ports.children import Children
from dagrun.ports.executor import Executor, Suspended
from dagrun.ports.processes import Processes
from dagrun.ports.secrets import SecretProvider
from dagrun.services.engine.context import AttemptContext, AttemptLog
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.services.engine.vault import Earlier, Vault

CHECKS: Final = 2  # outputs that are checked against schemas at once
MAX_MESSAGE: Final = 4000
"""Characters of an error's message that are kept."""

MAX_QUOTE: Final = 500
"""Characters of what is quoted in it."""


@attrs.frozen
class Failure:
    """Why an attempt failed."""

    type: str
    message: str
    retryable: bool = True
    quote: str = ""
    """What somebody else says of it, as it came."""

    def masked(self, vault: Vault) -> "Failure":
        """Give it with all secrets hidden, before anything is cut or joined."""
        kind, message, quote = map(vault.text, (self.type, self.message, self.quote))
        return Failure(kind, message, self.retryable, quote)

    def error(self) -> Mapping[str, str]:
        """Give it as events carry it: text that JSON can hold, and not too much of it."""
        quote = " ".join(self.quote[: 2 * MAX_QUOTE].split())[:MAX_QUOTE]
        message = f"{self.message}: {quote}" if quote else self.message
        return {"type": _clean(self.type, 200), "message": _clean(message, MAX_MESSAGE)}


Outcome = Raw | Suspended | Failure
"""What comes of an attempt: outputs, a child to wait for, or why there are none."""


class Logs(Protocol):
    """Where the logs of attempts are kept."""

    def open(
        self, run_id: str, node_id: str, attempt: int, item: int | None = None, *, epoch: int
    ) -> AttemptLog:
        """Give the log of one attempt. Touches no file before something is written."""
        ...


@attrs.frozen(kw_only=True)
class Workshop:
    """What attempts are made with."""

    executors: Mapping[str, Executor]
    """Open executors by name."""

    structure: Callable[[str, Mapping[str, Any]], Any]
    """Turns filled-in options of an executor into what it expects; raises ValueError."""

    processes: Processes
    logs: Logs
    scratch: ScratchSpace
    """Holds a directory for each run."""

    passing: bool = False
    """Whether runs come and go: what one leaves behind goes with it, and when it comes back, under
    another epoch, it finds an empty directory."""

    children: Children | None = None
    """Starts child runs; None where nobody does."""

    providers: Mapping[str, SecretProvider] = attrs.field(factory=dict)
    """Open providers of secrets by name."""

    checks: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(CHECKS))
    """Keeps checks of outputs from taking the threads that the store needs."""

    def scratch_of(self, state: RunState) -> Path:
        """Give the directory of a run; it may not be there yet."""
        return self.scratch.root / self._name_of(state)

    def make_scratch(self, state: RunState) -> Path:
        """Give the directory of a run; it is made if it is not there.

        Raises:
            HostTrouble: it cannot be made.
        """
        return self.scratch.make(self._name_of(state))

    def _name_of(self, state: RunState) -> str:
        return f"{state.run_id}@{state.epoch}" if self.passing else state.run_id


def make_attempt(workshop: Workshop, state: RunState, work: Work) -> Coroutine[Any, Any, Outcome]:
    """Call the executor within the node's timeout.

    The coroutine raises :exc:`~dagrun.errors.HostTrouble` when the attempt could not start.
    """
    references = work.node.step.secrets
    if not references:
        return _in_time(workshop, state, work, None)
    earlier = state.cache.setdefault("secrets", Earlier())
    return _in_secret(workshop, state, work, Vault(references, workshop.providers, earlier))


async def _in_secret(workshop: Workshop, state: RunState, work: Work, vault: Vault) -> Outcome:
    """Hide the secrets in the reason of a failure, whichever way it comes."""
    try:
        outcome = await _in_time(workshop, state, work, vault)
    except HostTrouble:
        raise
    except BaseException as error:  # the engine would journal it as it is
        reason = _besides_cancellation(error)
        if reason is None:
            raise
        outcome = failure_of(reason)
    return outcome.masked(vault) if isinstance(outcome, Failure) else outcome


def _besides_cancellation(error: BaseException) -> BaseException | None:
    """Give what the node is to blame for; None if the attempt, or the program, was only stopped."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1]
    return None if isinstance(error, trio.Cancelled | KeyboardInterrupt) else error


async def _in_time(workshop: Workshop, state: RunState, work: Work, vault: Vault | None) -> Outcome:
    timeout = work.node.step.node.timeout
    try:
        if timeout is None:
            return await _execute(workshop, state, work, vault)
        with trio.move_on_after(timeout):
            return await _execute(workshop, state, work, vault)
    except ExpressionError as error:
        return Failure("expression", str(error), retryable=False)
    except NotJson as error:
        return Failure("output", str(error))
    except Exception as error:  # noqa: BLE001 — whatever an executor raises fails its node only
        if isinstance(cause := sole(error), HostTrouble):
            raise cause from None
        return failure_of(error)
    return Failure("timeout", f"the attempt took longer than {format_duration(timeout)}")


def failure_of(error: BaseException) -> Failure:
    """Say why an attempt failed, from what its executor raised.

    Raises:
        BaseException: ``error`` itself, if it concerns the whole program and no node.
    """
    cause = sole(error)
    if isinstance(cause, NodeError):
        return Failure(cause.type, cause.message, cause.retryable, cause.quote)
    if isinstance(cause, BaseExceptionGroup):
        if cause.subgroup(KeyboardInterrupt) is not None:
            raise error
        cause = cause.split(trio.Cancelled)[1] or cause  # what else went wrong in the end
    elif isinstance(cause, KeyboardInterrupt):
        raise error
    return Failure(type(cause).__name__, _message(cause))


async def _execute(workshop: Workshop, state: RunState, work: Work, vault: Vault | None) -> Outcome:
    step = work.node.step
    kind = step.node.executor.type
    secrets = {} if vault is None else await vault.open()
    try:
        options = _options(workshop, state, work, secrets)
    except ExpressionError:
        raise
    except ValueError as error:
        return Failure("options", str(error), retryable=False)

    def open_log() -> AttemptLog:
        log = workshop.logs.open(
            state.run_id, step.node.id, work.attempt, work.index, epoch=work.epoch
        )
        return log if vault is None else vault.log(log)

    context = AttemptContext(
        state,
        work,
        options=options,
        secrets=secrets,
        processes=workshop.processes,
        children=workshop.children,
        open_log=open_log,
        scratch=lambda: workshop.make_scratch(state),
    )
    try:
        outputs = await workshop.executors[kind].execute(context)
    finally:
        context.close()
    if isinstance(outputs, Suspended):
        if step.handles is not None:
            raise NodeError("workflow", "a handler cannot wait for a run", retryable=False)
        return outputs
    if not isinstance(outputs, Raw):
        if not isinstance(outputs, Mapping):
            raise NodeError("output", f"it must return an object, not {type(outputs).__name__}")
        outputs = encode(outputs if type(outputs) is dict else dict(outputs))
    if vault is not None:
        outputs = await vault.outputs(outputs)  # before anybody quotes them
    if step.output_schema is not None:
        await _check(workshop, step.output_schema, outputs)
    return outputs


async def _check(workshop: Workshop, schema: OutputSchema, outputs: Raw) -> None:
    """Refuse outputs that do not fit. In a thread, as it takes long for a large value."""
    problem = await trio.to_thread.run_sync(
        schema.problem, outputs, abandon_on_cancel=True, limiter=workshop.checks
    )
    if problem is not None:
        raise NodeError(OUTPUT_SCHEMA, problem)


def _options(workshop: Workshop, state: RunState, work: Work, secrets: Mapping[str, str]) -> Any:
    """Give the options; those in which nothing is to be filled in are structured once a plan.

    Raises:
        ValueError: they are wrong; the message quotes no part of a secret.
    """
    step = work.node.step
    if step.prepared is not None:
        return step.prepared
    kind = step.node.executor.type
    try:
        options = workshop.structure(kind, scope.node_options(state, work, secrets))
    except ValueError as error:
        if step.secret_options is None or isinstance(error, ExpressionError):
            raise
        # A message may quote half of a value, which no mask would know.
        hidden = dict.fromkeys(secrets, MASK)
        workshop.structure(kind, scope.node_options(state, work, hidden))
        raise ValueError("they do not fit with the secrets filled in") from None
    if step.options.constant and step.secret_options is None:
        step.prepared = options
    return options


def _clean(text: str, most: int) -> str:
    """Replace lone surrogates, and cut what is too long."""
    text = text.encode(errors="replace").decode()
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _message(error: BaseException) -> str:
    """Give an exception's text; a group's is that of what is inside."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(f"{type(e).__name__}: {_message(e)}" for e in error.exceptions)
    return str(error)

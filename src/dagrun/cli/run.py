"""``dagrun run``: one run in this process."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import trio

from dagrun.cli import output
from dagrun.cli.board import Board
from dagrun.cli.ending import failed_nodes, say_end
from dagrun.cli.inputs import inputs_of
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.progress import Progress, open_progress
from dagrun.cli.running import check_run, first_error, naming_directory
from dagrun.cli.signals import Held, Signals
from dagrun.domain.events import Event
from dagrun.domain.explain import how_to_go_on
from dagrun.domain.ids import RunId
from dagrun.domain.result import run_result, to_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import (
    ConfigError,
    DagrunError,
)
from dagrun.plugin.providers import check_providers
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Store
from dagrun.roles.documents import catalogue, load_file
from dagrun.roles.local import LOGS, SCRATCH, Local, Submission, open_local
from dagrun.roles.reruns import kept_by
from dagrun.roles.secrets import check_secrets, check_secrets_left
from dagrun.services.dispatcher import Ticket
from dagrun.services.node_logs import NodeLogs
from dagrun.services.retention import RunFolders, prune, sweep
from dagrun.settings import Settings

PRUNED: Final = 200  # old runs that one run deletes at most
SWEPT: Final = 50  # scratch directories that one run looks at
TELL: Final = 1.0  # seconds between looks at whether the journal waits


@attrs.frozen(kw_only=True)
class _Order:
    """What the command line asked for."""

    workflow: Workflow | None
    base: Path | None
    inputs: Mapping[str, Any]
    resume: RunId | None
    as_json: bool
    again: Callable[[Local], Awaitable[Submission]] | None = None
    """Says what of another run is run again, if that is wanted."""


def run_file(
    file: Path | None,
    *,
    inputs: Sequence[str],
    inputs_file: Path | None,
    resume: str | None,
    as_json: bool,
    settings: Settings,
) -> int:
    """Run a document, or go on with a run. Give the exit code.

    Raises:
        DagrunError: nothing was started.
    """
    _check_usage(file, inputs, inputs_file, resume)
    _log_as_wanted(settings)
    if resume is not None:
        check_run(settings, resume)
    registry = load_with_warnings().registry
    workflow = None if file is None else load_file(file, catalogue(registry))
    order = _Order(
        workflow=workflow,
        base=None if file is None else file.absolute().parent,
        inputs={} if resume or workflow is None else inputs_of(workflow, inputs, inputs_file),
        resume=None if resume is None else RunId(resume),
        as_json=as_json,
    )
    if workflow is not None:
        check_providers(workflow, registry)
    with naming_directory(settings):
        ended = _in_loop(order, registry, settings)
    return _tell(order, ended)


def run_again(
    again: Callable[[Local], Awaitable[Submission]], *, as_json: bool, settings: Settings
) -> int:
    """Run what is run again of another run. Give the exit code.

    Raises:
        DagrunError: nothing was started.
    """
    _log_as_wanted(settings)
    registry = load_with_warnings().registry
    order = _Order(workflow=None, base=None, inputs={}, resume=None, as_json=as_json, again=again)
    with naming_directory(settings):
        ended = _in_loop(order, registry, settings)
    return _tell(order, ended)


def _log_as_wanted(settings: Settings) -> None:
    """Log as the settings say, if they do; else Python shows warnings as they are."""
    if settings.log_format is not None or settings.log_level is not None:
        from dagrun.cli.logs import write_logs  # noqa: PLC0415 — 20 ms that few runs need

        write_logs(settings.log_format, settings.log_level or "info")


def _in_loop(order: _Order, registry: Registry, settings: Settings) -> "_Ended":
    held = Held()
    try:
        # What inline nodes print must not get between the result and who reads it.
        with redirect_stdout(output.Notes()):
            return trio.run(_run, order, registry, settings, held)
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def _check_usage(
    file: Path | None, inputs: Sequence[str], inputs_file: Path | None, resume: str | None
) -> None:
    if file is None and resume is None:
        raise ConfigError("run: name a FILE, or a run to --resume")
    if resume is not None and (inputs or inputs_file):
        raise ConfigError("run: a resumed run keeps its inputs; leave out --input")


async def _run(order: _Order, registry: Registry, settings: Settings, held: Held) -> "_Ended":
    view, logs = _View(), NodeLogs(settings.data_dir / LOGS)

    def end_now(ticket: Ticket | None) -> NoReturn:
        ended = _Ended(
            ticket=ticket,
            durable=False,
            stored=view.stored(ticket),
            interrupted=True,
            logs=logs,
        )
        stdout = redirect_stdout(sys.__stdout__ or output.Notes())
        with stdout, suppress(DagrunError, output.OutputLost):
            _tell(order, ended)
            output.flush()
        os._exit(output.INTERRUPTED)

    signals = Signals(held, settings.grace, end_now)
    async with trio.open_nursery() as nursery:
        await nursery.start(signals.run)
        with signals.opening:
            if order.workflow is not None and order.resume is None:
                await check_secrets(order.workflow, registry, settings)
            opening = open_local(registry, settings, first=order.workflow, committed=view.see)
            async with opening as local:
                signals.local = local
                ticket = signals.ticket = await _start(local, order, registry, settings)
                async with trio.open_nursery() as watching:
                    watching.start_soon(_tell_of_waiting, local, ticket)
                    await watching.start(view.run, ticket)
                    await ticket.wait()
                    watching.cancel_scope.cancel()
                await _clean_up(local.store, settings)
        nursery.cancel_scope.cancel()
    return _Ended(
        ticket=signals.ticket,
        durable=signals.is_end_durable(),
        stored=view.stored(signals.ticket),
        interrupted=signals.interrupted,
        logs=logs,
    )


async def _tell_of_waiting(local: Local, ticket: Ticket) -> None:
    """Say it when the run stands still, for its turn has not come or nothing can be written."""
    told = None
    while True:
        await trio.sleep(TELL)
        why = local.journal.statistics().blocked or local.dispatcher.explain(ticket.run_id)
        if why is not None and why != told:
            output.note(f"dagrun: waiting: {why}")
        told = why


async def _clean_up(store: Store, settings: Settings) -> None:
    """Delete some of what is too old, or was left. It must not matter to this run how that goes."""
    logs, scratch = RunFolders(settings.data_dir / LOGS), RunFolders(settings.data_dir / SCRATCH)
    with suppress(DagrunError):
        await sweep(store, scratch, ended=True, unknown=lambda: False, most=SWEPT)
        if settings.retention is not None:
            await prune(store, [logs, scratch], keep=settings.retention, most=PRUNED)


async def _start(local: Local, order: _Order, registry: Registry, settings: Settings) -> Ticket:
    if order.resume is not None:
        await check_secrets_left(local.store, order.resume, registry, settings)
        return await local.go_on(order.resume, only=order.workflow)
    if order.again is not None:
        submission = await order.again(local)
        await check_secrets(submission.workflow, registry, settings, ended=kept_by(submission))
        return await local.submit(submission)
    assert order.workflow is not None  # noqa: S101 — _check_usage saw to it
    return await local.submit(
        Submission(workflow=order.workflow, inputs=order.inputs, base=order.base)
    )


class _View:
    """Keeps durable events until there is something to show them on.

    Runs that the run starts are not shown.
    """

    def __init__(self) -> None:
        self._stored: dict[RunId, RunStatus] = {}
        self._run_id: RunId | None = None
        self._early: list[Event] = []
        self._progress: Progress | None = None

    def stored(self, ticket: Ticket | None) -> RunStatus | None:
        """Give where a run stands by what is on the disk."""
        return None if ticket is None else self._stored.get(ticket.run_id)

    def see(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.node_id is None:
                self._stored[event.run_id] = RunStatus(event.type.removeprefix("run."))
        if self._progress is None:
            self._early.extend(events)
        else:
            self._progress.see([event for event in events if event.run_id == self._run_id])

    async def run(self, ticket: Ticket, *, task_status: trio.TaskStatus[None]) -> None:
        self._run_id = ticket.run_id
        board = Board(ticket.workflow)
        self._progress = open_progress(board, run_id=ticket.run_id)
        early, self._early = self._early, []
        self.see(early)
        try:
            await self._progress.run(task_status=task_status)
        finally:
            self._progress = None


@attrs.frozen(kw_only=True)
class _Ended:
    """How it came out."""

    ticket: Ticket | None
    """None if it was interrupted before there was a run."""

    durable: bool
    stored: RunStatus | None
    """Where the run stands by what is on the disk."""

    interrupted: bool
    logs: NodeLogs


def _tell(order: _Order, ended: _Ended) -> int:
    ticket = ended.ticket
    state = None if ticket is None else ticket.picture()
    if ticket is None or state is None:
        return _tell_of_nothing(order, ticket)
    if ticket.abandoned is not None:
        raise DagrunError(f"run {ticket.run_id} is left: {ticket.abandoned}")
    result = run_result(state)
    if order.as_json:
        output.say_json(to_json(result))
    if not ticket.gone and not ended.durable:
        output.note(f"dagrun: stopped; {how_to_go_on(ticket.run_id, ended.stored)}")
        return output.INTERRUPTED
    if not order.as_json:
        failed = failed_nodes(result, ticket.workflow)
        say_end(result, failed, lambda node_id: bool(ended.logs.attempts(result.run_id, node_id)))
    if ended.interrupted and result.status is RunStatus.CANCELLED:
        return output.INTERRUPTED
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED


def _tell_of_nothing(order: _Order, ticket: Ticket | None) -> int:
    """Tell of a run that has not begun: there is none, or it waits and is on the disk only."""
    message = "stopped before a run was started"
    if ticket is not None:
        message = f"stopped; {how_to_go_on(ticket.run_id, RunStatus.QUEUED)}"
    if order.as_json:
        output.say_json({"error": {"type": "interrupted", "message": message, "errors": []}})
    else:
        output.note(f"dagrun: {message}")
    return output.INTERRUPTED

"""``dagrun run``: one run in this process."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import trio

from dagrun.cli import output
from dagrun.cli.board import Board
from dagrun.cli.documents import load_file
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.progress import Progress, open_progress
from dagrun.cli.signals import Held, Signals
from dagrun.domain.document.composer import compose, plain
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.result import RunResult, run_result, to_json
from dagrun.domain.schema import check_inputs, parse_input
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import (
    ConfigError,
    DagrunError,
    DefinitionError,
    InputError,
    NotFound,
)
from dagrun.plugin.registry import Registry
from dagrun.roles.local import LOGS, Local, Submission, open_local
from dagrun.roles.providers import check_providers
from dagrun.services.engine.execution import Execution
from dagrun.services.journal import Journal
from dagrun.services.node_logs import NodeLogs
from dagrun.settings import Settings

TELL: Final = 1.0  # seconds between looks at whether the journal waits


@attrs.frozen(kw_only=True)
class _Order:
    """What the command line asked for."""

    workflow: Workflow | None
    base: Path | None
    inputs: Mapping[str, Any]
    resume: RunId | None
    as_json: bool


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
    registry = load_with_warnings().registry
    workflow = None if file is None else load_file(file, registry)
    order = _Order(
        workflow=workflow,
        base=None if file is None else file.absolute().parent,
        inputs={} if resume or workflow is None else _inputs(workflow, inputs, inputs_file),
        resume=None if resume is None else RunId(resume),
        as_json=as_json,
    )
    if workflow is not None:
        check_providers(workflow, registry)
    held = Held()
    try:
        # What inline nodes print must not get between the result and who reads it.
        with redirect_stdout(output.Notes()):
            ended = trio.run(_run, order, registry, settings, held)
    except BaseExceptionGroup as group:
        raise _first_error(group) from group
    return _tell(order, ended)


def _check_usage(
    file: Path | None, inputs: Sequence[str], inputs_file: Path | None, resume: str | None
) -> None:
    if file is None and resume is None:
        raise ConfigError("run: name a FILE, or a run to --resume")
    if resume is not None and (inputs or inputs_file):
        raise ConfigError("run: a resumed run keeps its inputs; leave out --input")
    if resume is not None and not is_id(resume):
        raise NotFound(f"there is no run {resume!r}")


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give what went wrong first: an error of dagrun's if there is one."""
    wanted = group.subgroup(DagrunError) or group
    error: BaseException = wanted
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _inputs(workflow: Workflow, pairs: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    given = _read_inputs(file) if file is not None else {}
    for pair in pairs:
        key, value = parse_input(workflow.inputs, pair)
        given[key] = value
    return check_inputs(workflow.inputs, given)


def _read_inputs(file: Path) -> dict[str, Any]:
    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"--inputs-file {name}: {reason}") from error
    try:
        inputs = json.loads(data)
    except (ValueError, RecursionError) as error:
        if file.suffix == ".json":
            raise ConfigError(f"--inputs-file {name}: {error}") from error
        inputs = _read_yaml(data, name)
    if not isinstance(inputs, dict):
        raise ConfigError(f"--inputs-file {name}: an object is needed")
    return inputs


def _read_yaml(data: bytes, name: str) -> dict[str, Any]:
    try:
        inputs: dict[str, Any] = plain(compose(data))
    except DefinitionError as error:
        raise InputError([attrs.evolve(p, file=name) for p in error.problems]) from error
    return inputs


async def _run(order: _Order, registry: Registry, settings: Settings, held: Held) -> "_Ended":
    view, logs = _View(), NodeLogs(settings.data_dir / LOGS)

    def end_now(execution: Execution | None) -> NoReturn:
        ended = _Ended(execution=execution, durable=False, interrupted=True, logs=logs)
        stdout = redirect_stdout(sys.__stdout__ or output.Notes())
        with stdout, suppress(DagrunError, output.OutputLost):
            _tell(order, ended)
            output.flush()
        os._exit(output.INTERRUPTED)

    signals = Signals(held, settings.grace, end_now)
    async with trio.open_nursery() as nursery:
        await nursery.start(signals.run)
        with signals.opening:
            async with open_local(registry, settings, committed=view.see) as local:
                signals.local = local
                execution = signals.execution = await _start(local, order)
                async with trio.open_nursery() as watching:
                    watching.start_soon(_tell_of_waiting, local.journal)
                    await watching.start(view.run, execution)
                    await execution.done.wait()
                    watching.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    return _Ended(
        execution=signals.execution,
        durable=signals.is_end_durable(),
        interrupted=signals.interrupted,
        logs=logs,
    )


async def _tell_of_waiting(journal: Journal) -> None:
    """Say it when the run stands still because nothing can be written."""
    told = None
    while True:
        await trio.sleep(TELL)
        blocked = journal.statistics().blocked
        if blocked is not None and blocked != told:
            output.note(f"dagrun: waiting: {blocked}")
        told = blocked


async def _start(local: Local, order: _Order) -> Execution:
    if order.resume is not None:
        return await local.go_on(order.resume, only=order.workflow)
    assert order.workflow is not None  # noqa: S101 — _check_usage saw to it
    return await local.submit(
        Submission(workflow=order.workflow, inputs=order.inputs, base=order.base)
    )


class _View:
    """Keeps durable events until there is something to show them on."""

    def __init__(self) -> None:
        self._early: list[Event] = []
        self._progress: Progress | None = None

    def see(self, events: Sequence[Event]) -> None:
        if self._progress is None:
            self._early.extend(events)
        else:
            self._progress.see(events)

    async def run(self, execution: Execution, *, task_status: trio.TaskStatus[None]) -> None:
        board = Board(execution.state.plan.workflow)
        self._progress = open_progress(board, run_id=execution.state.run_id)
        self._progress.see(self._early)
        try:
            await self._progress.run(task_status=task_status)
        finally:
            self._progress = None


@attrs.frozen(kw_only=True)
class _Ended:
    """How it came out."""

    execution: Execution | None
    """None if it was interrupted before there was a run."""

    durable: bool
    interrupted: bool
    logs: NodeLogs


def _tell(order: _Order, ended: _Ended) -> int:
    execution = ended.execution
    if execution is None:
        return _tell_of_nothing(order)
    state = execution.state
    if execution.abandoned is not None:
        raise DagrunError(f"run {state.run_id} was taken over by another process")
    result = run_result(state)
    if order.as_json:
        output.say_json(to_json(result))
    if not execution.done.is_set() and not ended.durable:
        _tell_how_to_go_on(execution)
        return output.INTERRUPTED
    if not order.as_json:
        _tell_person(result, ended.logs)
    if ended.interrupted and result.status is RunStatus.CANCELLED:
        return output.INTERRUPTED
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED


def _tell_how_to_go_on(execution: Execution) -> None:
    run_id = execution.state.run_id
    output.note(f"dagrun: stopped; go on with: dagrun run --resume {run_id}")


def _tell_of_nothing(order: _Order) -> int:
    if order.as_json:
        message = "stopped before a run was started"
        output.say_json({"error": {"type": "interrupted", "message": message, "errors": []}})
    else:
        output.note("dagrun: stopped before a run was started")
    return output.INTERRUPTED


def _tell_person(result: RunResult, logs: NodeLogs) -> None:
    if result.error is not None:
        output.note(f"dagrun: {result.error['message']}")
        failed = [node.id for node in result.nodes if node.status is NodeStatus.FAILED]
        if len(failed) > 1:
            output.note(f"dagrun: {len(failed)} nodes failed: {', '.join(failed[:10])}")
        wrote = next((node for node in failed if logs.attempts(result.run_id, node)), None)
        if wrote is not None:
            output.note(f"dagrun: see what it wrote with: dagrun runs logs {result.run_id} {wrote}")
    if result.outputs:
        output.say(output.json_text(result.outputs, indent=2))

"""``dagrun run``: one run in this process."""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from dagrun.cli import output
from dagrun.cli.board import Board
from dagrun.cli.documents import load_file
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.progress import Progress, open_progress
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.result import RunResult, run_result, to_json
from dagrun.domain.schema import check_inputs, parse_input
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError, DagrunError, NotFound
from dagrun.plugin.registry import Registry
from dagrun.roles.local import Local, Submission, open_local
from dagrun.services.engine.execution import Execution
from dagrun.settings import Settings


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
        _refuse_secrets(workflow)
    try:
        return trio.run(_run, order, registry, settings)
    except BaseExceptionGroup as group:
        raise _first_error(group) from group


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


def _refuse_secrets(workflow: Workflow) -> None:
    names = {*workflow.secrets, *(name for node in workflow.nodes for name in node.secrets)}
    if names:
        raise ConfigError(
            f"{workflow.id} names secrets ({', '.join(sorted(names))}), and no provider of "
            "secrets is installed"
        )


def _inputs(workflow: Workflow, pairs: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    given = _read_inputs(file) if file is not None else {}
    for pair in pairs:
        key, value = parse_input(workflow.inputs, pair)
        given[key] = value
    return check_inputs(workflow.inputs, given)


def _read_inputs(file: Path) -> dict[str, Any]:
    name = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        inputs = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"--inputs-file {name}: {error}") from error
    if not isinstance(inputs, dict):
        raise ConfigError(f"--inputs-file {name}: an object is needed")
    return inputs


async def _run(order: _Order, registry: Registry, settings: Settings) -> int:
    view = _View()
    async with open_local(registry, settings, committed=view.see) as local:
        execution = await _start(local, order)
        with trio.CancelScope() as at_once:
            async with trio.open_nursery() as nursery:
                signals = _Signals(local, execution, at_once)
                await nursery.start(signals.run)
                await nursery.start(view.run, execution)
                await execution.done.wait()
                nursery.cancel_scope.cancel()
        view.stop()
    return _tell(order, execution, interrupted=signals.interrupted)


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
        await self._progress.run(task_status=task_status)

    def stop(self) -> None:
        self._progress = None


class _Signals:
    """Ctrl-C cancels the run, a second one ends at once; SIGTERM leaves it to be resumed."""

    def __init__(self, local: Local, execution: Execution, at_once: trio.CancelScope) -> None:
        self._local = local
        self._execution = execution
        self._at_once = at_once
        self.interrupted = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for number in received:
                if number == signal.SIGTERM or self.interrupted:
                    self.interrupted = True
                    self._at_once.cancel()
                    return
                self.interrupted = True
                output.note("dagrun: cancelling; press Ctrl-C again to end at once")
                await self._local.engine.cancel(self._execution.state.run_id)


def _tell(order: _Order, execution: Execution, *, interrupted: bool) -> int:
    state = execution.state
    if execution.abandoned is not None:
        raise DagrunError(f"run {state.run_id} was taken over by another process")
    if not execution.done.is_set():
        output.note(f"dagrun: stopped; go on with: dagrun run --resume {state.run_id}")
        return output.INTERRUPTED
    result = run_result(state)
    if order.as_json:
        output.say_json(to_json(result))
    else:
        _tell_person(result)
    if interrupted and result.status is RunStatus.CANCELLED:
        return output.INTERRUPTED
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED


def _tell_person(result: RunResult) -> None:
    if result.error is not None:
        output.note(f"dagrun: {result.error['message']}")
        output.note(f"dagrun: see what it wrote with: dagrun runs logs {result.run_id}")
    if result.outputs:
        output.say(json.dumps(result.outputs, indent=2, ensure_ascii=False))

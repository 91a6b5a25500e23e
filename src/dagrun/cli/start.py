"""``dagrun runs start``, and what becomes of a run that was accepted."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from dagrun.cli import output
from dagrun.cli.asking import Answerer, orchestrator_of
from dagrun.cli.broken_off import command_again, saying_how_to_go_on
from dagrun.cli.ending import failed_handlers, failed_nodes, say_end
from dagrun.cli.inputs import inputs_of
from dagrun.cli.options import Asked
from dagrun.cli.runs import LOOKED_AT, has_written, summary_json, view_json
from dagrun.cli.watch import show_run
from dagrun.domain.status import RunStatus
from dagrun.errors import ConfigError, NotAllowed
from dagrun.ports.management import Management, RunSummary, RunView
from dagrun.ports.tokens import Role


def start_run(
    asked: Asked,
    workflow_id: str,
    *,
    version: str | None,
    pairs: Sequence[str],
    inputs_file: Path | None,
    priority: int | None,
    idempotency_key: str | None,
    wait: bool,
) -> int:
    """Start a run, and wait for its end if that is wanted. Give the exit code.

    Raises:
        NotFound: there is no such workflow or version.
        InputError: the inputs do not fit.
    """
    check_key(idempotency_key)

    async def accept(server: Management) -> RunSummary:
        with _naming_the_role_that_starts():
            chosen, workflow = await server.workflows.get(workflow_id, version)
        return await server.runs.start(
            workflow_id,
            inputs_of(workflow, pairs, inputs_file),
            version=version if version is None else chosen.version,
            priority=priority,
            idempotency_key=idempotency_key,
        )

    whom = orchestrator_of(asked, "runs start")
    code = have_executed(asked, whom, accept, wait=wait)
    whom.note_unled()
    return code


@contextmanager
def _naming_the_role_that_starts() -> Iterator[None]:
    """Tell who may not even look at the workflow what is needed to start it.

    With the role that looking needs, the caller would only be refused once more.
    """
    try:
        yield
    except NotAllowed as error:
        if error.held is None:
            raise
        raise NotAllowed.for_want_of(Role.OPERATOR, error.held) from error


def check_key(key: str | None) -> None:
    """Refuse an empty idempotency key, such as of a variable that is not set: it would be none.

    Raises:
        ConfigError: it is empty.
    """
    if key == "":
        raise ConfigError("--idempotency-key: a text is needed")


def have_executed(
    asked: Asked,
    whom: Answerer,
    accept: Callable[[Management], Awaitable[RunSummary]],
    *,
    wait: bool,
) -> int:
    """Have a run accepted, and wait for its end if that is wanted. Give the exit code."""
    as_json, accepted = asked.json, list[str]()

    async def act(server: Management) -> RunSummary | _Ended:
        run = await accept(server)
        if not wait:
            return run
        accepted.append(run.run_id)
        if as_json:
            output.note(f"dagrun: run {run.run_id} is started")
            await server.runs.wait(run.run_id)
        else:
            await show_run(server, run.run_id)
        view = await server.runs.get(run.run_id)
        return _Ended(view=view) if as_json else await _look_closer(server, view)

    def again() -> list[str] | None:
        return ["runs", "watch", *accepted] if accepted else None

    try:
        with saying_how_to_go_on(asked, again, server=whom.server):
            done = whom.ask(act)
    except KeyboardInterrupt:
        if (words := again()) is not None:
            command = command_again(asked, words, server=whom.server)
            output.note(f"dagrun: the run goes on; follow it with: {command}")
        raise
    if isinstance(done, _Ended):
        return _tell(done, as_json=as_json)
    if as_json:
        output.say_json(summary_json(done))
    else:
        output.say(done.run_id)
    return output.DONE


@attrs.frozen(kw_only=True)
class _Ended:
    """A run that has ended."""

    view: RunView
    failed: Sequence[str] = ()
    """The nodes that failed where that is not allowed."""

    wrote: Collection[str] = ()
    """Those of them that wrote anything, and handlers that failed and did."""


async def _look_closer(server: Management, view: RunView) -> _Ended:
    """Find out what people are told of a run that has ended."""
    run_id = view.result.run_id
    failed = failed_nodes(view.result, await server.runs.workflow_of(run_id))
    handlers = [handler.id for handler in failed_handlers(view.result)]
    wrote = [
        node_id
        for node_id in [*failed[:LOOKED_AT], *handlers]
        if await has_written(server, run_id, node_id)
    ]
    return _Ended(view=view, failed=failed, wrote=wrote)


def _tell(ended: _Ended, *, as_json: bool) -> int:
    result = ended.view.result
    if as_json:
        output.say_json(view_json(ended.view))
    else:
        say_end(result, ended.failed, ended.wrote.__contains__)
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED

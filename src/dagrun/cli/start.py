"""``dagrun runs start``, and what becomes of a run that was accepted."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from dagrun.cli import output
from dagrun.cli.inputs import inputs_of
from dagrun.cli.remote import with_server
from dagrun.cli.runs import summary_json, view_json
from dagrun.domain.status import RunStatus
from dagrun.ports.management import Management, RunSummary, RunView
from dagrun.settings.client import ClientSettings


def start_run(
    client: ClientSettings,
    workflow_id: str,
    *,
    version: str | None,
    pairs: Sequence[str],
    inputs_file: Path | None,
    priority: int | None,
    idempotency_key: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Start a run, and wait for its end if that is wanted. Give the exit code.

    Raises:
        NotFound: there is no such workflow or version.
        InputError: the inputs do not fit.
    """

    async def accept(server: Management) -> RunSummary:
        chosen, workflow = await server.workflows.get(workflow_id, version)
        return await server.runs.start(
            workflow_id,
            inputs_of(workflow, pairs, inputs_file),
            version=version if version is None else chosen.version,
            priority=priority,
            idempotency_key=idempotency_key,
        )

    return have_executed(client, accept, wait=wait, as_json=as_json)


def have_executed(
    client: ClientSettings,
    accept: Callable[[Management], Awaitable[RunSummary]],
    *,
    wait: bool,
    as_json: bool,
) -> int:
    """Have a run accepted, and wait for its end if that is wanted. Give the exit code."""

    async def act(server: Management) -> RunSummary | RunView:
        run = await accept(server)
        if not wait:
            return run
        output.note(f"dagrun: run {run.run_id} is started")
        await server.runs.wait(run.run_id)
        return await server.runs.get(run.run_id)

    done = with_server(client, act)
    if isinstance(done, RunView):
        return _say_end(done, as_json=as_json)
    if as_json:
        output.say_json(summary_json(done))
    else:
        output.say(done.run_id)
    return output.DONE


def _say_end(view: RunView, *, as_json: bool) -> int:
    if as_json:
        output.say_json(view_json(view))
    elif view.result.error is not None:
        output.note(f"dagrun: {view.result.error['message']}")
    elif view.result.outputs:
        output.say_value(view.result.outputs)
    return output.DONE if view.result.status is RunStatus.SUCCEEDED else output.FAILED

"""``dagrun runs start``."""

from collections.abc import Sequence
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

    async def act(server: Management) -> RunSummary | RunView:
        chosen, workflow = await server.workflows.get(workflow_id, version)
        inputs = inputs_of(workflow, pairs, inputs_file)
        run = await server.runs.start(
            workflow_id,
            inputs,
            version=version if version is None else chosen.version,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        if not wait:
            return run
        output.note(f"dagrun: run {run.run_id} is started")
        await server.runs.wait(run.run_id)
        return await server.runs.get(run.run_id)

    done = with_server(client, act)
    if isinstance(done, RunSummary):
        if as_json:
            output.say_json(summary_json(done))
        else:
            output.say(done.run_id)
        return output.DONE
    if as_json:
        output.say_json(view_json(done))
    elif done.result.error is not None:
        output.note(f"dagrun: {done.result.error['message']}")
    elif done.result.outputs:
        output.say_value(done.result.outputs)
    return output.DONE if done.result.status is RunStatus.SUCCEEDED else output.FAILED

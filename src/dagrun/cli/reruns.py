"""``dagrun runs retry|rerun``: a run that has ended is run again, all of it or a part."""

from typing import Any

import attrs

from dagrun.cli import output
from dagrun.cli.remote import with_server
from dagrun.cli.run import run_again
from dagrun.cli.running import check_run
from dagrun.cli.runs import record_json
from dagrun.domain.ids import RunId
from dagrun.domain.result import to_json
from dagrun.domain.status import RunStatus
from dagrun.errors import ConfigError
from dagrun.ports.management import Management, RunSummary, RunView
from dagrun.roles.local import Local
from dagrun.roles.reruns import rerun_of, retry_of
from dagrun.roles.submission import Submission
from dagrun.settings import Settings
from dagrun.settings.client import ClientSettings


@attrs.frozen(kw_only=True)
class Wish:
    """What is wanted of a run that has ended."""

    run_id: str
    whole: bool
    """Whether also what succeeded may run once more: it is no retry."""

    from_node: str | None = None
    priority: int | None = None
    idempotency_key: str | None = None
    wait: bool = False
    as_json: bool = False


def run_here(settings: Settings, wish: Wish) -> int:
    """Run it again in this process, and show how it goes. Give the exit code.

    Raises:
        NotFound: there is no such run, or it has no such node.
        ConflictError: the run's state forbids it.
        ConfigError: something was asked for that needs a server.
    """
    if wish.idempotency_key is not None:
        raise ConfigError("--idempotency-key needs an orchestrator: name one with --server")
    check_run(settings, wish.run_id)

    async def again(local: Local) -> Submission:
        record = await local.store.run(RunId(wish.run_id))
        if not wish.whole:
            return await retry_of(local.runs, record, priority=wish.priority)
        return await rerun_of(local.runs, record, from_node=wish.from_node, priority=wish.priority)

    return run_again(again, as_json=wish.as_json, settings=settings)


def run_there(client: ClientSettings, wish: Wish) -> int:
    """Let a server run it again, and wait for the end if that is wanted. Give the exit code.

    Raises:
        NotFound: there is no such run, or it has no such node.
        ConflictError: the run's state forbids it.
    """

    async def act(server: Management) -> RunSummary | RunView:
        run = await _accepted(server, wish)
        if not wish.wait:
            return run
        output.note(f"dagrun: run {run.run_id} is started")
        await server.runs.wait(run.run_id)
        return await server.runs.get(run.run_id)

    done = with_server(client, act)
    if isinstance(done, RunView):
        return _say_end(done, as_json=wish.as_json)
    if wish.as_json:
        output.say_json(record_json(done, cut_off=done.resumable))
    else:
        output.say(done.run_id)
    return output.DONE


async def _accepted(server: Management, wish: Wish) -> RunSummary:
    more: dict[str, Any] = {"priority": wish.priority, "idempotency_key": wish.idempotency_key}
    if wish.whole:
        return await server.runs.rerun(wish.run_id, from_node=wish.from_node, **more)
    return await server.runs.retry(wish.run_id, **more)


def _say_end(view: RunView, *, as_json: bool) -> int:
    result = view.result
    if as_json:
        more = {"inputs": view.inputs, "resumable": view.resumable}
        output.say_json({**to_json(result), **more})
    elif result.error is not None:
        output.note(f"dagrun: {result.error['message']}")
    elif result.outputs:
        output.say_value(result.outputs)
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED

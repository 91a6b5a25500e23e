"""``dagrun runs cancel|pause|resume|explain|prune``."""

from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout

from dagrun.builtin.ownership import live_owners, shared_use
from dagrun.cli import output
from dagrun.cli.changes import What, say_change
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import (
    check_run,
    has_database,
    naming_directory,
    run_async,
    with_store,
)
from dagrun.cli.runs import say_where_logs_are
from dagrun.domain.ids import RunId
from dagrun.domain.plan import compile_plan
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.errors import ConfigError
from dagrun.ports.management import Change
from dagrun.ports.store import Store
from dagrun.roles.explaining import explain
from dagrun.roles.local import LOGS, SCRATCH, Local, open_local
from dagrun.roles.stored_runs import restore, stored_workflow
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import handling
from dagrun.services.retention import RunFolders, prune, sweep
from dagrun.settings import Settings, parse


def change_run(settings: Settings, run_id: str, what: What, *, as_json: bool) -> int:
    """Ask for something to be done with a run, whoever executes it. Give the exit code.

    Raises:
        NotFound: there is no such run.
        ConflictError: its process has ended, and only :option:`--resume` can go on with it.
    """
    check_run(settings, run_id)
    registry = load_with_warnings().registry

    async def call() -> tuple[bool, RunStatus]:
        async with open_local(registry, settings) as local:
            changed = await _methods(local)[what](RunId(run_id))
            ticket = local.dispatcher.ticket(RunId(run_id))
            if ticket is not None:  # it had no process, and is this one's now
                await ticket.wait()
            return changed, (await local.store.run(RunId(run_id))).status

    # A run that had no process goes on in this one, with handlers that may print.
    with naming_directory(settings), redirect_stdout(output.Notes()):
        changed, status = run_async(call)
    change = Change(run_id=run_id, changed=changed, status=status)
    return say_change(what, change, as_json=as_json)


def _methods(local: Local) -> dict[What, Callable[[RunId], Awaitable[bool]]]:
    return {"cancel": local.cancel, "pause": local.pause, "resume": local.resume}


def explain_run(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Say why a run stands where it stands. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """
    check_run(settings, run_id)
    registry = load_with_warnings().registry

    async def read(store: Store) -> tuple[RunState, list[str]]:
        record = await store.run(RunId(run_id))
        plan = compile_plan(await stored_workflow(store, record), handling(registry))
        state, _ = await restore(store, record, plan)
        return state, await explain(settings.data_dir, store, record, state)

    state, reasons = with_store(settings, registry, read)
    if as_json:
        output.say_json({"run_id": run_id, "status": state.status, "reasons": reasons})
    else:
        for reason in reasons:
            output.say(reason)
        say_where_logs_are(state, NodeLogs(settings.data_dir / LOGS))
    return output.DONE


def prune_runs(settings: Settings, *, older_than: str | None, as_json: bool) -> int:
    """Delete runs that ended long ago, with all that runs left behind. Give the exit code.

    Raises:
        ConfigError: the age is none, or the data directory cannot be written to.
        ConflictError: the database is being restored.
    """
    keep = _age(settings, older_than)

    async def act(store: Store) -> int:
        logs, scratch = (
            RunFolders(settings.data_dir / LOGS),
            RunFolders(settings.data_dir / SCRATCH),
        )
        count = await prune(store, [logs, scratch], keep=keep, most=None)
        await sweep(store, logs, ended=False, unknown=nobody)
        await sweep(store, scratch, ended=True, unknown=nobody)
        return count

    def nobody() -> bool:
        # A living process may keep its runs in memory, and use their directories.
        return not live_owners(settings.data_dir)

    count = 0
    if has_database(settings):
        with shared_use(settings.data_dir):
            count = with_store(settings, load_with_warnings().registry, act)
    if as_json:
        output.say_json({"pruned": count})
    else:
        output.say(f"{count} runs are deleted")
    return output.DONE


def _age(settings: Settings, older_than: str | None) -> float:
    if older_than is None:
        if settings.retention is None:
            raise ConfigError("runs are kept for ever: name an age with --older-than")
        return settings.retention
    if older_than.replace(".", "").isdigit():
        raise ConfigError(f"--older-than: write a unit, such as {older_than}d or {older_than}h")
    try:
        age = parse.retention(older_than)
    except ValueError as error:
        raise ConfigError(f"--older-than: {error}, not {older_than!r}") from error
    if age is None:
        raise ConfigError("--older-than: a duration is needed")
    return age

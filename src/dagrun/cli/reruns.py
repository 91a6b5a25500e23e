"""``dagrun runs retry|rerun``: a run that has ended is run again, all of it or a part."""

from typing import Any

import attrs

from dagrun.builtin.leadership import leader_of
from dagrun.builtin.ownership import ORCHESTRATOR
from dagrun.cli import run
from dagrun.cli.asking import Answerer, answerer, orchestrator_of
from dagrun.cli.flags import given
from dagrun.cli.options import Asked, Executing, client_of, settings_of
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import check_run, with_store
from dagrun.cli.start import check_key, have_executed
from dagrun.domain.ids import RunId
from dagrun.errors import ConfigError
from dagrun.ports.management import Management, RunSummary
from dagrun.roles.local import Local
from dagrun.roles.reruns import rerun_of, retry_of
from dagrun.roles.submission import Submission
from dagrun.settings import Settings
from dagrun.settings.names import flag_of


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


def run_again(asked: Asked, executing: Executing, wish: Wish) -> int:
    """Let a server run it again, or do so in this process, without one. Give the exit code.

    A run that the orchestrator of the data directory had is run again by that.

    Raises:
        NotFound: there is no such run, or it has no such node.
        ConflictError: the run's state forbids it.
        ConfigError: something was asked for that needs a server, or has no use for one.
    """
    check_key(wish.idempotency_key)
    whom = _orchestrator(asked, wish)
    if whom is None:
        return _run_here(executing.settings(asked.config, asked.data_dir), wish, as_json=asked.json)
    if flags := given(executing):
        flag = flag_of(next(iter(flags)))
        raise ConfigError(f"{flag} is for runs in this process; {whom.name} runs this one again")

    async def accept(server: Management) -> RunSummary:
        more: dict[str, Any] = {"priority": wish.priority, "idempotency_key": wish.idempotency_key}
        if wish.whole:
            return await server.runs.rerun(wish.run_id, from_node=wish.from_node, **more)
        return await server.runs.retry(wish.run_id, **more)

    return have_executed(asked, whom, accept, wait=wish.wait)


def _orchestrator(asked: Asked, wish: Wish) -> Answerer | None:
    """Give who runs it again; None for this process."""
    if client_of(asked).server is not None or _is_of_the_leader(asked, wish.run_id):
        return orchestrator_of(asked, "runs rerun" if wish.whole else "runs retry")
    answerer(asked)  # refuses flags that say how to reach nobody
    return None


def _is_of_the_leader(asked: Asked, run_id: str) -> bool:
    """Whether a run is one of the orchestrator that leads the data directory now.

    Raises:
        NotFound: an orchestrator leads it, and there is no such run.
    """
    settings = settings_of(asked.config, data_dir=asked.data_dir)
    if leader_of(settings.data_dir) is None:
        return False
    check_run(settings, run_id)
    registry = load_with_warnings().registry
    record = with_store(settings, registry, lambda store: store.run(RunId(run_id)))
    return record.owner == ORCHESTRATOR


def _run_here(settings: Settings, wish: Wish, *, as_json: bool) -> int:
    """Run it again in this process, and show how it goes."""
    if wish.idempotency_key is not None:
        raise ConfigError("--idempotency-key needs an orchestrator: name one with --server")
    check_run(settings, wish.run_id)

    async def again(local: Local) -> Submission:
        record = await local.store.run(RunId(wish.run_id))
        if not wish.whole:
            return await retry_of(local.runs, record, priority=wish.priority)
        return await rerun_of(local.runs, record, from_node=wish.from_node, priority=wish.priority)

    return run.run_again(again, as_json=as_json, settings=settings)

"""Run a document, and give all that can be seen of it: for tests of what a key or option does."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from dagrun.domain.events import Event, Type
from dagrun.domain.result import NodeResult, RunResult, run_result
from dagrun.domain.schema import check_inputs
from dagrun.domain.workflow import Workflow
from dagrun.errors import DagrunError
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Logged
from dagrun.roles.documents import catalogue, load_file
from dagrun.roles.local import DATABASE, LOGS, Local, Submission, open_local
from dagrun.roles.stored_runs import stored_workflow
from dagrun.services.dispatcher import Ticket
from dagrun.settings import Settings

PATIENCE = 0.5  # seconds in which what need not wait has long happened
_RUN_ENDED: Final = (Type.RUN_SUCCEEDED, Type.RUN_FAILED, Type.RUN_CANCELLED)


@attrs.frozen(kw_only=True)
class Seen:
    """What can be seen of a document and its run."""

    refused: str | None = None
    """What was said instead of running it."""

    result: RunResult | None = None
    """As ``dagrun run --json`` prints it."""

    events: Sequence[Event] = ()
    around: Sequence[Logged] = ()
    """The events of all runs, in their order; see :mod:`dagrun.testing.crowds`."""

    log: str = ""
    """What all nodes wrote, in the order of their ids."""

    stored: Workflow | None = None
    """The workflow as it is kept with the run."""

    @property
    def nodes(self) -> Sequence[NodeResult]:
        """How the nodes went."""
        assert self.result is not None, self.refused  # noqa: S101 — a test's complaint
        return self.result.nodes

    @property
    def last(self) -> NodeResult:
        """How the last node of the document went."""
        return self.nodes[-1]

    def order(self) -> list[tuple[str, str | None]]:
        """Give what happened, and to which node."""
        return [(event.type, event.node_id) for event in self.events]

    def starts(self) -> list[str]:
        """Give the workflows of all runs, in the order in which they started."""
        return [logged.workflow_id for logged in self.around if _starts(logged)]

    def engines(self) -> list[str]:
        """Give the engines of all runs, in the order in which they started."""
        events = (logged.event for logged in self.around if _starts(logged))
        return [event.data["engine"] for event in events if event.data]

    def most_runs(self) -> int:
        """Give how many runs went on at the same time, at most."""
        running = most = 0
        for logged in self.around:
            running += _starts(logged) - (logged.event.type in _RUN_ENDED)
            most = max(most, running)
        return most

    def delays(self) -> list[float]:
        """Give the seconds between failures and further attempts."""
        again = [event.data for event in self.events if event.type is Type.NODE_RETRYING]
        return [data["delay"] for data in again if data]

    def most_at_once(self) -> int:
        """Give how many items ran at the same time, at most. None of them may be retried."""
        running = most = 0
        for event in self.events:
            if event.item is not None:
                running += 1 if event.type is Type.NODE_RUNNING else -1
                most = max(most, running)
        return most


async def run_document(
    registry: Registry, settings: Settings, file: Path, *, local: Local | None = None
) -> Seen:
    """Do what ``dagrun run`` does with a document, to the end of the run.

    Args:
        registry: the plugins.
        settings: what ``local`` was opened with.
        file: the document.
        local: what other runs use as well; None opens it for this one.
    """
    if local is None:
        async with open_local(registry, settings) as own:
            return await run_document(registry, settings, file, local=own)
    try:
        ticket = await submit_document(local, registry, file)
    except DagrunError as error:
        return Seen(refused=str(error))
    return await end_of(local, settings, ticket)


async def cut_off_document(registry: Registry, settings: Settings, file: Path) -> Seen:
    """Let the engine be lost while a node runs, and go on with another one.

    Some node makes a file beside the document, called as the run, when it is to be cut off.
    """
    async with open_local(registry, settings) as local:
        run_id = (await submit_document(local, registry, file)).run_id
        await _exists(file.parent / run_id)
    async with open_local(registry, settings) as local:
        return await end_of(local, settings, await local.go_on(run_id))


async def cancelled_document(registry: Registry, settings: Settings, file: Path) -> Seen:
    """Cancel a run when some node has made a file beside the document, called as the run."""
    async with open_local(registry, settings) as local:
        ticket = await submit_document(local, registry, file)
        await _exists(file.parent / ticket.run_id)
        await local.cancel(ticket.run_id)
        return await end_of(local, settings, ticket)


async def run_without_disk(registry: Registry, settings: Settings, file: Path) -> Seen:
    """Let nothing be written for a while, from a moment that a node chooses.

    Beside the document, some node makes ``here-RUN``. Then ``held-RUN`` is there while the
    database is held: until ``ran-RUN`` is made, or long enough for that.
    """
    async with open_local(registry, settings) as local:
        ticket = await submit_document(local, registry, file)
        here, held, ran = (
            file.parent / f"{word}-{ticket.run_id}" for word in ("here", "held", "ran")
        )
        await _exists(here)
        connection = sqlite3.connect(settings.data_dir / DATABASE, isolation_level=None)
        connection.execute("begin immediate")
        await trio.Path(held).touch()
        with trio.move_on_after(PATIENCE):
            await _exists(ran)
        await trio.Path(held).unlink()
        connection.rollback()
        connection.close()
        return await end_of(local, settings, ticket)


async def submit_document(
    local: Local, registry: Registry, file: Path, *, inputs: Mapping[str, Any] | None = None
) -> Ticket:
    """Load a document, and start a run of it."""
    workflow = load_file(file, catalogue(registry))
    checked = check_inputs(workflow.inputs, inputs or {})
    return await local.submit(Submission(workflow=workflow, inputs=checked, base=file.parent))


async def end_of(local: Local, settings: Settings, ticket: Ticket) -> Seen:
    """Wait for the end of a run, and give what can be seen."""
    await ticket.wait()
    run_id = ticket.run_id
    return Seen(
        result=None if ticket.state is None else run_result(ticket.state),
        events=await local.store.events(run_id),
        log=_log(settings.data_dir / LOGS / run_id),
        stored=await stored_workflow(local.store, await local.store.run(run_id)),
    )


def _starts(logged: Logged) -> bool:
    return logged.event.type is Type.RUN_RUNNING and "engine" in (logged.event.data or {})


def _log(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.rglob("*.log")))


async def _exists(path: Path) -> None:
    while not await trio.Path(path).exists():  # noqa: ASYNC110 — another process makes it
        await trio.sleep(0.01)

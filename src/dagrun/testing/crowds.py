"""Run a document beside other runs: who goes first, who waits, and who goes where.

Nodes of the document may wait for the file that the input ``gate`` names.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from dagrun.domain.specs import shell
from dagrun.domain.workflow import Concurrency, Node, Scope, Workflow
from dagrun.errors import LimitReached
from dagrun.plugin.registry import Registry
from dagrun.roles.local import Local, Submission, open_local
from dagrun.services.dispatcher import Ticket
from dagrun.settings import Settings
from dagrun.testing.observe import PATIENCE, Seen, end_of, submit_document

MANY: Final = 10_000
"""More events than the runs of a crowd have."""

KEY: Final = "k"
"""The concurrency key, for all workflows, of the run that is there before the document's."""

ENGINES: Final = 4
RUNS: Final = 20
"""Runs that are spread over the engines. Chance puts so many on one engine once in 4¹⁹ times, and
lets them take turns once in 4¹⁶ times."""


async def run_in_line(registry: Registry, settings: Settings, file: Path) -> Seen:
    """Let a run come when the only engine is full, and another run waits for it already.

    The engine has room again when the run has ended without it, or after :data:`PATIENCE`.
    """
    gate = file.with_suffix(".gate")
    async with open_local(registry, settings, capacity=1) as local:
        tickets = [await local.submit(_waiting(name, gate)) for name in ("running", "earlier")]
        own = await submit_document(local, registry, file)
        with trio.move_on_after(PATIENCE):
            await own.wait()
        gate.touch()
        await _all_ended(tickets)
        return await _seen(local, settings, own)


async def run_twice(registry: Registry, settings: Settings, file: Path) -> Seen:
    """Start two runs of a document at once, beside a run that has a slot of :data:`KEY`.

    Their inputs are ``n``, 1 and 2, and ``gate``. The gate is opened when all run at the same time,
    or after :data:`PATIENCE`.
    """
    gate = file.with_suffix(".gate")
    slot = Concurrency(key=KEY, scope=Scope.GLOBAL)
    async with open_local(registry, settings) as local:
        tickets = [await local.submit(_waiting("other", gate, concurrency=slot))]
        for number in (1, 2):
            inputs = {"n": number, "gate": str(gate)}
            try:
                tickets.append(await submit_document(local, registry, file, inputs=inputs))
            except LimitReached:
                continue
        with trio.move_on_after(PATIENCE):
            await _all_run(local, len(tickets))
        gate.touch()
        await _all_ended(tickets)
        return await _seen(local, settings, tickets[1])


async def run_spread(registry: Registry, settings: Settings, file: Path) -> Seen:
    """Start runs of a document one after the other, with several engines that have room."""
    async with open_local(registry, settings, engines=ENGINES) as local:
        for _ in range(RUNS):
            ticket = await submit_document(local, registry, file)
            await ticket.wait()
        return await _seen(local, settings, ticket)


async def _seen(local: Local, settings: Settings, ticket: Ticket) -> Seen:
    seen = await end_of(local, settings, ticket)
    return attrs.evolve(seen, around=await local.store.log(after=0, limit=MANY))


def _waiting(workflow_id: str, gate: Path, **fields: Any) -> Submission:
    """Make a run that goes on until there is a file."""
    wait = shell('until [ -e "$GATE" ]; do sleep 0.01; done', env={"GATE": str(gate)})
    workflow = Workflow(workflow_id, "1.0.0", nodes=[Node("n", executor=wait)], **fields)
    return Submission(workflow=workflow, inputs={})


async def _all_run(local: Local, count: int) -> None:
    while local.dispatcher.statistics().running < count:  # noqa: ASYNC110 — nobody tells of it
        await trio.sleep(0.01)


async def _all_ended(tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        await ticket.wait()

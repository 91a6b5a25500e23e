"""Give a document's run to an orchestrator that has one engine, of which not much is to be had."""

from pathlib import Path
from typing import Final

import trio

from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.plugin.registry import Registry
from dagrun.roles.documents import catalogue, load_file
from dagrun.roles.submission import Submission
from dagrun.settings import Settings
from dagrun.testing.managed import managed
from dagrun.testing.observe import PATIENCE, Seen

MANY: Final = 1000
"""More events than a run has."""


async def run_elsewhere(_registry: Registry, settings: Settings, file: Path) -> Seen:
    """Start a run that goes to the engine, or waits for another one.

    The engine has the label ``zone``, which is ``a``, and no resources.
    """
    hub = Hub()
    folder = settings.data_dir / "orchestrator"
    async with managed(folder, lambda: MemoryTransport(hub=hub)) as world:
        workflow = load_file(file, catalogue(world.registry))
        submission = Submission(workflow=workflow, inputs={}, base=file.parent)
        run_id = await world.leading.submit(submission)
        with trio.move_on_after(PATIENCE):
            await world.leading.result(run_id)
        return Seen(around=await world.leading.store.log(after=0, limit=MANY))

"""Register a document, run another one that calls it, and end it with ``kill -9`` in a commit.

Arguments: data directory, document to register, document to run, point, number of the commit.
"""

import sys
from functools import partial
from pathlib import Path

import trio

from dagrun.builtin.sqlite import SqliteStore
from dagrun.plugin.loading import load_plugins
from dagrun.plugin.registry import Entry
from dagrun.roles.documents import catalogue, load_file
from dagrun.roles.local import Submission, open_local
from dagrun.roles.workflows import Workflows
from dagrun.settings import Settings
from dagrun.testing.failpoints import Killer


async def main(data_dir: Path, called: Path, document: Path, killer: Killer) -> None:
    registry = load_plugins().registry
    registry.stores._entries["sqlite"] = Entry("sqlite", partial(SqliteStore, hook=killer), "test")
    known = catalogue(registry)
    async with open_local(registry, Settings(data_dir=data_dir, parallel=4), capacity=1) as local:
        await Workflows(local.store, local.registrations, local.plans, known).register(called, None)
        workflow = load_file(document, known)
        ticket = await local.submit(Submission(workflow=workflow, inputs={}))
        await ticket.wait()


if __name__ == "__main__":
    folder, callee, file, where, which = sys.argv[1:]
    trio.run(main, Path(folder), Path(callee), Path(file), Killer(where, int(which)))

"""Run a document in this process, and end it with ``kill -9`` at a named point of a commit.

Arguments: data directory, document, point (begun, written, committed), number of the commit.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import trio

from dagrun.builtin.sqlite import SqliteStore
from dagrun.plugin.loading import load_plugins
from dagrun.plugin.registry import Entry
from dagrun.roles.documents import catalogue, load_file
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings


class Killer:
    def __init__(self, point: str, number: int) -> None:
        self.point, self.left = point, number

    def __call__(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


async def main(data_dir: Path, document: Path, killer: Killer) -> None:
    registry = load_plugins().registry
    registry.stores._entries["sqlite"] = Entry("sqlite", partial(SqliteStore, hook=killer), "test")
    workflow = load_file(document, catalogue(registry))
    settings = Settings(data_dir=data_dir, parallel=4)
    async with open_local(registry, settings) as local:
        ticket = await local.submit(Submission(workflow=workflow, inputs={}))
        await ticket.wait()


if __name__ == "__main__":
    folder, file, where, which = sys.argv[1:]
    trio.run(main, Path(folder), Path(file), Killer(where, int(which)))

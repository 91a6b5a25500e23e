"""The floor: the least that the same graph costs in this process on this disk.

A bare trio nursery walks the graph with dependency counters and writes three rows a node to
SQLite in WAL mode with ``synchronous=FULL``. ``batched``: in group commits that nobody awaits
before the end. ``strict``: each commit is awaited before a node's successors start. There is no
journal to replay, no retry, no timeout, no log, no recovery.
"""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import trio

Graph = Sequence[Sequence[int]]
"""For each node the nodes that depend on it; nodes are numbered from 0."""

Row = tuple[str, int, str, str]
ROWS = ("ready", "running", "succeeded")


def fan_out(width: int) -> Graph:
    """One node, then ``width`` nodes, then one."""
    return [list(range(1, width + 1)), *([width + 1] for _ in range(width)), []]


def chain(length: int) -> Graph:
    """Nodes one behind the other."""
    return [[number + 1] for number in range(length - 1)] + [[]]


def walk(graphs: Sequence[Graph], file: Path, *, strict: bool) -> float:
    """Walk the graphs at the same time. Give the seconds until all is on disk."""
    connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute(
        "create table events (run text, seq integer, type text, data text, primary key (run, seq))"
        " without rowid"
    )
    try:
        return trio.run(_walk, graphs, connection, strict)
    finally:
        connection.close()


async def _walk(graphs: Sequence[Graph], connection: sqlite3.Connection, strict: bool) -> float:
    writer = _Writer(connection)
    start = time.perf_counter()
    async with trio.open_nursery() as services:
        services.start_soon(writer.run)
        async with trio.open_nursery() as nursery:
            for number, graph in enumerate(graphs):
                _Walk(f"r{number}", graph, writer, nursery, strict).begin()
        await writer.close()
    return time.perf_counter() - start


class _Walk:
    def __init__(
        self, run: str, graph: Graph, writer: "_Writer", nursery: trio.Nursery, strict: bool
    ) -> None:
        self._run, self._graph, self._strict = run, graph, strict
        self._writer, self._nursery = writer, nursery
        self._seq = 0
        self._missing = [0] * len(graph)
        for dependents in graph:
            for dependent in dependents:
                self._missing[dependent] += 1

    def begin(self) -> None:
        for node, missing in enumerate(list(self._missing)):
            if not missing:
                self._nursery.start_soon(self._node, node)

    async def _node(self, node: int) -> None:
        await trio.lowlevel.checkpoint()
        for kind in ROWS:
            self._seq += 1
            self._writer.add((self._run, self._seq, kind, "{}"))
        if self._strict:
            await self._writer.flushed()
        for dependent in self._graph[node]:
            self._missing[dependent] -= 1
            if not self._missing[dependent]:
                self._nursery.start_soon(self._node, dependent)


class _Writer:
    """Commits what waits; the next group forms in the meantime."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: list[Row] = []
        self._work = trio.Event()
        self._done = trio.Event()
        self._closing = False
        self._ended = trio.Event()

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._work.set()

    async def flushed(self) -> None:
        """Wait until what was added so far is on disk."""
        await self._done.wait()

    async def close(self) -> None:
        self._closing = True
        self._work.set()
        await self._ended.wait()

    async def run(self) -> None:
        while self._rows or not self._closing:
            await self._work.wait()
            self._work = trio.Event()
            rows, self._rows = self._rows, []
            done, self._done = self._done, trio.Event()
            if rows:
                await trio.to_thread.run_sync(self._write, rows)
            done.set()
        self._ended.set()

    def _write(self, rows: list[Row]) -> None:
        """Write in one statement: it lets go of the interpreter once, not once a row."""
        import json

        text = json.dumps(rows)
        self._connection.execute(
            "insert into events select value->>0, value->>1, value->>2, value->>3"
            " from json_each(?)",
            (text,),
        )

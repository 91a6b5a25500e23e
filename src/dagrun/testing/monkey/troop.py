"""One orchestrator, three engines and a client that submits runs all along, on loopback."""

import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.status import RunStatus
from dagrun.errors import DagrunError, RemoteError
from dagrun.plugin.loading import load_plugins
from dagrun.ports.management import Management
from dagrun.ports.store import RunRecord
from dagrun.testing.monkey.judge import judge
from dagrun.testing.monkey.member import Member
from dagrun.testing.monkey.workflows import CHILD, documents
from dagrun.testing.proxy import Proxy

ORCHESTRATOR: Final = "orchestrator"
"""Name of the orchestrator's process."""

LEASE: Final = 3.0  # seconds
ENGINES: Final = 3
PAUSE: Final = 0.25  # seconds between two submissions
ANSWER: Final = 5.0  # seconds in which the orchestrator answers, or is asked again
PATIENCE: Final = 180.0  # seconds in which all runs end once nothing fails any more
LOOK: Final = 0.25  # seconds between looks whether they have
START: Final = 30.0  # seconds in which a process is ready


class Troop:
    """The processes, and what is known of the runs.

    Args:
        folder: where all of it lives.
        proxies: whether a proxy stands between each engine and the orchestrator.
        seed: of the workflows.
        lease: in seconds.
        engines: how many there are.
        pause: seconds between two submissions.
        make_documents: makes the workflows, which succeed and leave their witness in a file; one of
            them is called by others.
    """

    def __init__(
        self,
        folder: Path,
        *,
        proxies: bool = False,
        seed: int = 0,
        lease: float = LEASE,
        engines: int = ENGINES,
        pause: float = PAUSE,
        make_documents: Callable[[Path, random.Random], Mapping[str, bytes]] = documents,
    ) -> None:
        self._folder = folder
        self._with_proxies = proxies
        self._lease = lease
        self._engines = engines
        self._pause = pause
        self._make_documents = make_documents
        self._witness = folder / "witness"
        self._draw = random.Random(seed)  # noqa: S311 — to be repeated
        self._port = _free_port()
        self.proxies: dict[str, Proxy] = {}
        self.members: dict[str, Member] = {}
        self.accepted: dict[str, str] = {}
        """Run → workflow, of all submissions that were answered."""

        self._problems: list[str] = []
        self._nursery: trio.Nursery
        self._management: Management
        self._submitting = trio.CancelScope()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Troop"]:
        """Start all processes, and submit runs until :meth:`settle`. Leaving kills all of them."""
        transport = load_plugins().registry.transports.get("grpc")(connection_timeout=ANSWER)
        async with transport, trio.open_nursery() as self._nursery:
            try:
                await self._start_all()
                address = f"127.0.0.1:{self._port}"
                async with transport.manage(address) as self._management:
                    await self._register()
                    self._nursery.start_soon(self._submit_all)
                    yield self
            finally:
                with trio.CancelScope(shield=True):
                    for name in self.members:
                        await self.kill(name)
                self._nursery.cancel_scope.cancel()

    async def _start_all(self) -> None:
        own = self._folder / ORCHESTRATOR
        self.members[ORCHESTRATOR] = Member(
            ORCHESTRATOR,
            [
                *("orchestrator", "--grpc-port", str(self._port), "--lease", str(self._lease)),
                *("--data-dir", str(own)),
            ],
            self._folder,
        )
        for number in range(self._engines):
            name, port = f"e{number}", self._port
            if self._with_proxies:
                self.proxies[name] = await self._nursery.start(Proxy(self._port).run)
                port = self.proxies[name].port
            arguments = [
                *("engine", "--engine-id", name, "--orchestrator", f"127.0.0.1:{port}"),
                *("--capacity", "5", "--data-dir", str(self._folder / name)),
            ]
            self.members[name] = Member(name, arguments, self._folder)
        for name in self.members:
            await self.start(name)

    async def start(self, name: str, failpoint: tuple[str, int] | None = None) -> None:
        """Start a process, unless it runs; see :class:`Member`."""
        await self.members[name].start(failpoint)

    async def wait(self, name: str) -> int:
        """Wait until a process has ended by itself, and give its exit code."""
        return await self.members[name].wait()

    async def kill(self, name: str) -> None:
        """End a process without a last word. It is a problem if it has ended by itself before."""
        code = await self.members[name].kill()
        if code is not None:
            self._problems.append(f"{name} ended by itself: {code}")

    def freeze(self, name: str, *, on: bool) -> None:
        """Let a process hang, or go on."""
        self.members[name].freeze(on=on)

    async def _register(self) -> None:
        made = self._make_documents(self._witness, self._draw)
        with trio.fail_after(START):
            for name in (CHILD, *(name for name in made if name != CHILD)):
                await self._until_answered(
                    lambda name=name: self._management.workflows.register(made[name])
                )
        self._names = [name for name in made if name != CHILD]

    async def _submit_all(self) -> None:
        number = 0
        with self._submitting:
            while True:
                number += 1
                name = self._draw.choice(self._names)
                key = f"k{number}"
                summary = await self._until_answered(
                    lambda name=name, key=key: self._management.runs.start(
                        name, idempotency_key=key
                    )
                )
                self.accepted[summary.run_id] = name
                await trio.sleep(self._pause)

    async def _until_answered(self, ask: Any) -> Any:
        """Ask again and again: the orchestrator may be dead, frozen or cut off."""
        while True:
            with trio.move_on_after(ANSWER):
                try:
                    return await ask()
                except (RemoteError, DagrunError):
                    await trio.sleep(PAUSE)

    async def settle(self) -> None:
        """Submit nothing more, let nothing fail any more, and wait until all runs have ended."""
        self._submitting.cancel()
        for proxy in self.proxies.values():
            proxy.resume()
            proxy.latency, proxy.left = 0.0, None
        for name, member in self.members.items():
            if member.process is not None and member.process.returncode is not None:
                await self.kill(name)  # which tells of its end
            self.freeze(name, on=False)
            await self.start(name)
        with trio.move_on_after(PATIENCE) as patience:
            while await self._unfinished():
                await self._resume_poisoned()
                await trio.sleep(LOOK)
        if patience.cancelled_caught:
            left = await self._unfinished()
            self._problems += [f"run {r.run_id} does not end: {r.status}" for r in left]

    async def _unfinished(self) -> Sequence[RunRecord]:
        async with self._store() as store:
            return await store.unfinished("orchestrator")

    async def _resume_poisoned(self) -> None:
        for record in await self._unfinished():
            if record.status is RunStatus.PAUSED:
                await self._until_answered(
                    lambda run_id=record.run_id: self._management.runs.resume(run_id)
                )

    def _store(self) -> SqliteStore:
        return SqliteStore(path=self._folder / ORCHESTRATOR / "dagrun.db")

    async def judge(self) -> Sequence[str]:
        """Give all that is wrong with the journals, and with what nodes did outside."""
        async with self._store() as store:
            told = await judge(store, self.accepted, self.lines())
        return [*self._problems, *told]

    def lines(self) -> Sequence[str]:
        """Give what nodes left as their witness."""
        return self._witness.read_text().splitlines() if self._witness.exists() else []

    def statistics(self) -> Mapping[str, int]:
        """Say how much happened."""
        return {"runs": len(self.accepted), "lines": len(self.lines())}

    def leftovers(self) -> Sequence[str]:
        """Give the command lines of processes that still know where the witness is."""
        return [
            text
            for path in Path("/proc").glob("[0-9]*")
            if int(path.name) != os.getpid() and (text := _environment(path, self._witness))
        ]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _environment(process: Path, witness: Path) -> str | None:
    try:
        if f"WITNESS={witness}".encode() in (process / "environ").read_bytes():
            return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:  # it has ended meanwhile
        return None
    return None

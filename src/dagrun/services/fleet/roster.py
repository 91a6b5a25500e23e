"""Which engines there are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from dagrun.errors import ConflictError, NotFound
from dagrun.ports.engine import DRAINING, UNHEALTHY, EngineReport, EngineView, Placer, ReportSeen
from dagrun.ports.frames import Hello, TurnedAway
from dagrun.services.fleet.remote import RemoteEngine


class Announce(Protocol):
    """Tells subscribers of something that belongs to no run."""

    def __call__(self, kind: str, *, engine_id: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell. Does not block."""
        ...


class Roster:
    """The engines, from their first greeting until nothing is left to be waited for.

    Of two lives of an engine with the same id only the later one is in the lists, and is given
    runs; those of the earlier one wait out their leases. Which is the later one of those that the
    store knows of, an orchestrator hears when an engine greets it. The dispatcher and subscribers
    learn here of engines that come, change, and go.

    Args:
        placer: places runs on the engines.
        announce: tells of engines that come and go.
        make: makes an engine of a greeting.
    """

    def __init__(
        self, *, placer: Placer, announce: Announce, make: Callable[[Hello], RemoteEngine]
    ) -> None:
        self._placer = placer
        self._announce = announce
        self._make = make
        self._present: dict[str, RemoteEngine] = {}
        self._others: dict[tuple[str, str], RemoteEngine] = {}
        """Id and instance → an earlier life of an engine, whose runs wait out their leases; or one
        from before this orchestrator, until it greets it."""

    def all(self) -> list[RemoteEngine]:
        """Give the engines, earlier lives too."""
        return [*self._present.values(), *self._others.values()]

    def has(self, engine: RemoteEngine) -> bool:
        """Whether an engine is there, in its latest life."""
        return self._present.get(engine.name) is engine

    def views(self) -> Sequence[EngineView]:
        """List the engines, by id."""
        known = {engine.name: engine for engine in self._others.values()} | self._present
        return [engine.view() for _, engine in sorted(known.items())]

    @property
    def attached(self) -> int:
        """How many engines have a stream."""
        return sum(engine.outbox is not None for engine in self._present.values())

    @property
    def silent(self) -> int:
        """How many have none, earlier lives too."""
        return len(self.all()) - self.attached

    def expect(self, engine_id: str, instance: str) -> RemoteEngine:
        """Know an engine from before this orchestrator was started. It is given nothing yet."""
        engine = self._make(Hello(engine_id=engine_id, instance=instance, release="", capacity=0))
        self._others[engine_id, instance] = engine
        return engine

    def admit(self, hello: Hello) -> RemoteEngine | TurnedAway:
        """Take in an engine that introduces itself, unless there is one with its id.

        One that is here already, and comes with a new stream, loses its old one.
        """
        known = self._present.get(hello.engine_id)
        if known is not None and known.instance == hello.instance:
            known.hang_up()
            known.introduce(hello)
            self._tell_of_drain(known)
            return known
        if known is not None and known.outbox is not None:
            reason = f"an engine with the id {known.name} is attached already, from {known.address}"
            return TurnedAway(reason=reason)
        if known is not None:
            self._depart(known)
        engine = self._others.pop((hello.engine_id, hello.instance), None)
        if engine is None:
            engine = self._make(hello)
        engine.introduce(hello)
        self._present[engine.name] = engine
        self._tell_that_it_joined(engine, hello)
        self._tell_of_drain(engine)
        self._placer.add_engine(engine)
        return engine

    def _tell_that_it_joined(self, engine: RemoteEngine, hello: Hello) -> None:
        """Tell that an engine is there, once until it is forgotten; also of one that was expected."""
        if not engine.known_to_have_joined:
            self._announce("engine.joined", engine_id=engine.name, data={"release": hello.release})
        engine.known_to_have_joined = True

    def _depart(self, engine: RemoteEngine) -> None:
        """Give the id of an engine to another one; its runs wait out their leases."""
        del self._present[engine.name]
        self._placer.remove_engine(engine)
        if engine.runs:
            self._others[engine.name, engine.instance] = engine

    def drain(self, engine_id: str, *, on: bool) -> bool:
        """Let an engine take no more runs, or take some again. Give False if there is none."""
        engine = self._present.get(engine_id)
        if engine is None or engine.outbox is None:
            return False
        engine.drain(on=on)
        self.drains_or_not(engine)
        return True

    def report(self, report: EngineReport) -> ReportSeen:
        """Hear from an engine beside its stream how it is. Does not block.

        Raises:
            NotFound: it has no stream.
            ConflictError: its stream is of another instance.
        """
        engine = self._present.get(report.engine_id)
        if engine is None or engine.outbox is None:
            raise NotFound(f"there is no engine {report.engine_id[:200]!r}, or it has no stream")
        if engine.instance != report.instance:
            raise ConflictError(f"the stream of engine {engine.name} is of another instance of it")
        self.heard(engine, draining=report.status == DRAINING, unhealthy=report.status == UNHEALTHY)
        return engine.seen(report.runs)

    def heard(self, engine: RemoteEngine, *, draining: bool, unhealthy: bool) -> None:
        """Hear from an engine whether it takes runs."""
        before = engine.refuses or engine.unhealthy
        engine.refuses, engine.unhealthy = False, unhealthy
        if engine.drains(on=draining):
            self.drains_or_not(engine)
        elif before != unhealthy:
            self.changed(engine)

    def drains_or_not(self, engine: RemoteEngine) -> None:
        """Hear that an engine drains, or takes runs again."""
        self._tell_of_drain(engine)
        self.changed(engine)

    def _tell_of_drain(self, engine: RemoteEngine) -> None:
        """Tell that an engine takes no more runs, once as long as that is so."""
        if engine.draining and not engine.known_to_drain:
            self._announce("engine.draining", engine_id=engine.name)
        engine.known_to_drain = engine.draining

    def changed(self, engine: RemoteEngine) -> None:
        """Let runs be placed anew: whether an engine takes some may be another now."""
        self._placer.engine_changed(engine)

    def detached(self, engine: RemoteEngine) -> None:
        """Hear that an engine has no stream any more.

        One that said that it goes, and has nothing, is forgotten at once.
        """
        self.changed(engine)
        if engine.goes and not engine.runs:
            self.forget(engine, lost=False)

    def forget(self, engine: RemoteEngine, *, lost: bool) -> None:
        """Know an engine no more that has no runs. It is lost with the last of its lives, if at all."""
        self._others.pop((engine.name, engine.instance), None)
        if self.has(engine):
            del self._present[engine.name]
            self._placer.remove_engine(engine)
        if lost and all(other.name != engine.name for other in self.all()):
            self._announce("engine.lost", engine_id=engine.name)

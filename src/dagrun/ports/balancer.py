"""What chooses the engine for a run."""

from typing import ClassVar, Protocol

from dagrun.domain.candidates import Candidate, Candidates

__all__ = ["Balancer", "Candidate", "Candidates"]


class Balancer(Protocol):
    """Chooses one of the engines that may be given a run.

    Inherit from it to leave out what a balancer does not need. All methods are called by one task,
    and must neither block nor await. A balancer holds nothing that would have to be closed.
    """

    uses_key: ClassVar[bool] = True
    """Whether the choice depends on the key. If not, a document that names one is refused."""

    def choose(self, key: str, candidates: Candidates) -> str:
        """Give the engine id of one of the candidates.

        Args:
            key: ``placement.key`` of the run's workflow, filled in.
            candidates: every engine that fulfils the run's requirements, is healthy and has a free
                slot; at least one. They differ from call to call, and belong to the caller: the
                balancer must not change or keep them.
        """
        ...

    def joined(self, engine_id: str) -> None:
        """Learn of an engine, before it is a candidate for the first time."""

    def left(self, engine_id: str) -> None:
        """Learn that an engine is gone for good, and is no candidate any more.

        One that is only full, draining or unhealthy has not left.
        """

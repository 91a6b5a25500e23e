"""One run in the queue."""

from typing import Final

import attrs

from dagrun.domain.ids import RunId


@attrs.frozen(kw_only=True, cache_hash=True)
class Needs:
    """What an engine must have to be given a run: all that its nodes need."""

    executors: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    resources: frozenset[tuple[str, float]] = frozenset()
    """Name and amount."""


NOTHING: Final = Needs()


def described(needs: Needs) -> str:
    """Say what is needed.

    >>> described(Needs(executors=frozenset({"lua"}), labels=frozenset({("zone", "a")})))
    'executor lua, label zone=a'
    """
    return ", ".join(
        [f"executor {name}" for name in sorted(needs.executors)]
        + [f"label {name}={value}" for name, value in sorted(needs.labels)]
        + [f"resource {name}={amount:g}" for name, amount in sorted(needs.resources)]
    )


def amount(needs: Needs) -> int:
    """Give how many things are needed."""
    return len(needs.executors) + len(needs.labels) + len(needs.resources)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Entry:
    """A run that waits for an engine."""

    run_id: RunId
    workflow_id: str
    priority: int = 0
    """Higher goes first."""

    fresh: bool = True
    """False for a child, and for a run that goes on: resumed, unparked, or lost by its engine."""

    needs: Needs = NOTHING
    key: str | None = None
    """The concurrency key, its scope included; None for a run without a limit."""

    limit: int = 1
    """How many slots the key has, as this run's workflow says."""

    slot: RunId = attrs.field(default=attrs.Factory(lambda self: self.run_id, takes_self=True))
    """Whose slot of the key the run takes: its own, or that of an ancestor with the same key."""

    place: tuple[int, bool, RunId] = attrs.field(init=False, repr=False, eq=False)
    """Where it stands among the runs of its workflow: the smaller, the earlier."""

    @place.default
    def _place(self) -> tuple[int, bool, RunId]:
        return -self.priority, self.fresh, self.run_id

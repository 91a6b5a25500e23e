"""Says what is illegal in what nodes did outside, beside their runs' journals."""

from collections.abc import Iterable, Sequence

import attrs

from dagrun.domain.events import Event
from dagrun.testing.checker import NODE_ENDS, name_of


@attrs.frozen
class _Effect:
    run: str
    node: str
    item: int | None
    attempt: int
    epoch: int
    starts: bool

    @property
    def key(self) -> tuple[str, str, int | None]:
        return self.run, self.node, self.item

    def __str__(self) -> str:
        place = f"{self.run}/{name_of(self.node, self.item)}"
        return f"{place}: attempt {self.attempt} of epoch {self.epoch}"


def check_effects(lines: Iterable[str], events: Iterable[Event]) -> list[str]:
    """Give every double execution that a file outside dagrun bears witness to.

    Args:
        lines: ``run node item attempt epoch start|end``, in the order in which the nodes
            appended them; ``-`` as the item of a node that has none.
        events: the journals of these runs.
    """
    problems: list[str] = []
    effects = []
    for line in lines:
        try:
            effects.append(_effect(line))
        except ValueError:
            problems.append(f"not a line of a node: {line!r}")
    return problems + _repeated(effects) + _after_hand_over(effects) + _after_end(effects, events)


def _effect(line: str) -> _Effect:
    run, node, item, attempt, epoch, what = line.split()
    if what not in ("start", "end"):
        raise ValueError(what)
    number = None if item == "-" else int(item)
    return _Effect(run, node, number, int(attempt), int(epoch), what == "start")


def _repeated(effects: Sequence[_Effect]) -> list[str]:
    seen: set[_Effect] = set()
    problems = []
    for effect in effects:
        if effect in seen:
            problems.append(f"{effect} {'started' if effect.starts else 'ended'} twice")
        if not effect.starts and attrs.evolve(effect, starts=True) not in seen:
            problems.append(f"{effect} ended without a start")
        seen.add(effect)
    return problems


def _after_hand_over(effects: Sequence[_Effect]) -> list[str]:
    """Find what an engine did when the run was another one's already."""
    newest: dict[str, int] = {}
    problems = []
    for effect in effects:
        epoch = newest[effect.run] = max(newest.get(effect.run, 0), effect.epoch)
        if effect.epoch < epoch:
            what = "started" if effect.starts else "went on"
            problems.append(f"{effect} {what} after epoch {epoch} had begun")
    return problems


def _after_end(effects: Sequence[_Effect], events: Iterable[Event]) -> list[str]:
    """Find what was done again though its end is journaled."""
    ends = {
        (str(event.run_id), event.node_id, event.item): event
        for event in events
        if event.type in NODE_ENDS
    }
    return [
        f"{effect} started after its end was journaled"
        for effect in effects
        if effect.starts and (end := ends.get(effect.key)) and _is_later(effect, end)
    ]


def _is_later(effect: _Effect, end: Event) -> bool:
    return effect.epoch > end.epoch or effect.attempt > (end.attempt or 0)

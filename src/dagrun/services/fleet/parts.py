"""A dispatch in frames of bounded size."""

from collections.abc import Iterator, Sequence
from typing import Final

from dagrun.domain.events import Event, size_of
from dagrun.domain.state import RunState
from dagrun.ports.frames import Dispatch, Frame, JournalPart
from dagrun.ports.store import Definition, Message
from dagrun.services.fleet.remote import Assigned

PART: Final = 512 * 1024  # bytes of events in a frame, unless a single one has more


def dispatch_frames(
    assigned: Assigned,
    state: RunState,
    definition: Definition,
    events: Sequence[Event],
    *,
    messages: Sequence[Message],
) -> Sequence[Frame]:
    """Give what an engine is told that is to execute a run."""
    first, *rest = portions(events)
    dispatch = Dispatch(
        run_id=assigned.run_id,
        epoch=assigned.epoch,
        definition_hash=definition.hash,
        definition=definition.body,
        inputs=state.inputs,
        events=tuple(first),
        more=bool(rest),
        messages=tuple(messages),
        lost=assigned.lost,
    )
    parts = [
        JournalPart(
            run_id=assigned.run_id,
            epoch=assigned.epoch,
            events=tuple(portion),
            more=number < len(rest),
        )
        for number, portion in enumerate(rest, 1)
    ]
    return [dispatch, *parts]


def portions(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Cut a journal into pieces of about the same size; there is at least one."""
    portion: list[Event] = []
    size = 0
    for event in events:
        if portion and size + size_of(event) > PART:
            yield portion
            portion, size = [], 0
        portion.append(event)
        size += size_of(event)
    yield portion

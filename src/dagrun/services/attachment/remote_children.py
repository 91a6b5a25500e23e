"""Child runs that nodes want, which somebody else starts."""

import attrs
import trio

from dagrun.errors import ConflictError, NodeError
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.frames import ChildStarted, StartChild
from dagrun.services.attachment.outbox import Outbox


@attrs.define(eq=False)
class _Question:
    """A child that was asked for, on this stream or an earlier one."""

    asked: StartChild
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: ChildStarted | None = None


class RemoteChildren:
    """Asks the orchestrator for child runs. Implements :class:`~dagrun.ports.children.Children`.

    Args:
        outbox: where questions go.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._questions: dict[int, _Question] = {}
        self._numbers = 0

    async def start(self, request: ChildRequest) -> Child:
        """Ask for a child run, on as many streams as it takes; see the port."""
        self._numbers += 1
        question = _Question(StartChild(number=self._numbers, request=request))
        self._questions[self._numbers] = question
        self._outbox.put(question.asked)
        try:
            await question.answered.wait()
        finally:
            del self._questions[question.asked.number]
        assert question.answer is not None  # noqa: S101 — there is one, as was waited for
        return _child_of(question.answer)

    def ask_again(self) -> None:
        """Ask on a new stream for what was not answered. Does not block."""
        self._outbox.put(*(question.asked for question in self._questions.values()))

    def answered(self, answer: ChildStarted) -> None:
        """Hear what came of a question. An answer that nobody waits for changes nothing."""
        question = self._questions.get(answer.number)
        if question is not None:
            question.answer = answer
            question.answered.set()


def _child_of(answer: ChildStarted) -> Child:
    """Give the child, or raise why there is none."""
    if answer.child is not None:
        return answer.child
    error = answer.error or {}
    kind, message = error.get("type", "workflow"), error.get("message", "")
    if kind == ConflictError.code:
        raise ConflictError(message)
    raise NodeError(kind, message, retryable=answer.retryable)

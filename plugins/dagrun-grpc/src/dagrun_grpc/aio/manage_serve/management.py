"""All answers."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from dagrun.ports.management import Management
from dagrun_grpc.aio.answering import many, once
from dagrun_grpc.aio.calls import Answer
from dagrun_grpc.aio.manage_serve import engines, events, runs, workflows
from dagrun_grpc.aio.manage_serve.kinds import Once, Streams

_ONCE: Final[Once] = {**workflows.ONCE, **runs.ONCE, **events.ONCE, **engines.ONCE}
_STREAMS: Final[Streams] = {**workflows.STREAMS, **runs.STREAMS, **events.STREAMS}


def answers(management: Management, seconds: float) -> Mapping[str, Answer]:
    """Give path → what answers.

    Args:
        management: does what is asked for.
        seconds: in which a request must arrive.
    """
    acts = {call.path: once(partial(act, management), seconds) for call, act in _ONCE.items()}
    streams = {
        call.path: many(partial(give, management), seconds) for call, give in _STREAMS.items()
    }
    return {**acts, **streams}

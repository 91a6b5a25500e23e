"""Handlers: what runs after the graph, in which order, and under which names."""

from collections.abc import Mapping
from typing import Final, TypeVar

from dagrun.domain.ids import is_id
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Handler, HandlerEvent, Node, TriggerRule

T = TypeVar("T")

TIMEOUT: Final = 300.0  # seconds that a handler may take unless it says otherwise

NAMES: Final = ("nodes", "inputs", "run", "env", "error")
"""What the expressions of a handler may use. ``error`` is short for ``run.error``."""

PREFIX: Final = "handler:"
"""What the names of handlers begin with. No id has a colon, so no node can be called so."""

_OF_STATUS: Final = {
    RunStatus.SUCCEEDED: HandlerEvent.SUCCESS,
    RunStatus.FAILED: HandlerEvent.FAILURE,
    RunStatus.CANCELLED: HandlerEvent.CANCELLED,
}


def handler_id(event: HandlerEvent) -> str:
    """Give what stands for a node's id where a handler is meant."""
    return f"{PREFIX}{event}"


HANDLER_IDS: Final = frozenset(map(handler_id, HandlerEvent))


def is_node_id(text: str) -> bool:
    """Whether a node or a handler may be called so. None of them means anything to a path."""
    return is_id(text) or text in HANDLER_IDS


def due(handlers: Mapping[HandlerEvent, T], status: RunStatus) -> list[T]:
    """Choose what a run that ends so has to run, one after the other."""
    wanted = (_OF_STATUS[status], HandlerEvent.EXIT)
    return [handlers[event] for event in wanted if event in handlers]


def as_node(event: HandlerEvent, handler: Handler) -> Node:
    """Give the node as which a handler is executed."""
    return Node(
        id=handler_id(event),
        executor=handler.executor,
        trigger_rule=TriggerRule.ALL_DONE,
        inputs=handler.inputs,
        env=handler.env,
        timeout=TIMEOUT if handler.timeout is None else handler.timeout,
    )

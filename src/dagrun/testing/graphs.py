"""Workflows of all shapes, drawn by hypothesis."""

from collections.abc import Mapping, Sequence
from typing import Final

from hypothesis import strategies as st

from dagrun.domain.plan import Plan
from dagrun.domain.workflow import (
    ExecutorSpec,
    Handler,
    HandlerEvent,
    Node,
    RetryPolicy,
    TriggerRule,
)
from dagrun.testing.drive import make_node, make_plan

_RULES: Final = (TriggerRule.ALL_SUCCEEDED, *TriggerRule)  # the usual one twice as often
_HANDLER: Final = Handler(executor=ExecutorSpec(type="none"))


@st.composite
def graphs(draw: st.DrawFn, most: int) -> Sequence[Node]:
    """Draw nodes called ``n0``, ``n1`` …, of which each depends on up to three earlier ones."""
    return [_node(draw, index) for index in range(draw(st.integers(1, most)))]


@st.composite
def handlers(draw: st.DrawFn) -> Mapping[str, Handler]:
    """Draw handlers of some events."""
    return dict.fromkeys(draw(st.sets(st.sampled_from(list(HandlerEvent)))), _HANDLER)


@st.composite
def plans(draw: st.DrawFn, most: int) -> Plan:
    """Draw a graph with handlers."""
    return make_plan(*draw(graphs(most)), handlers=draw(handlers()))


def _node(draw: st.DrawFn, index: int) -> Node:
    dependencies = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
    return make_node(
        f"n{index}",
        *(f"n{number}" for number in sorted(dependencies)),
        trigger_rule=draw(st.sampled_from(_RULES)) if dependencies else _RULES[0],
        allow_failure=draw(st.booleans()),
        when=draw(st.sampled_from([None, None, "true", "false"])),
        for_each=draw(st.sampled_from([None, None, (), (1,), (1, 2, 3)])),
        max_parallel=draw(st.sampled_from([None, 1, 2])),
        tolerate=draw(st.integers(0, 1)),
        retry=RetryPolicy(max_attempts=draw(st.integers(1, 3)), first_delay=2.0, max_delay=3.0),
    )

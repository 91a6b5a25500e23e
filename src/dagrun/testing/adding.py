"""A workflow that adds, for tests of programs that run one."""

from typing import Any

from dagrun.domain.specs import lua
from dagrun.domain.workflow import Node, Workflow


def adder(version: str = "1.0.0", more: int = 1, **fields: Any) -> Workflow:
    """Make a workflow whose output ``n`` is its input ``n`` and ``more``."""
    return Workflow(
        "adder",
        version,
        inputs={"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        outputs={"n": "${nodes.add.n}"},
        nodes=[Node("add", executor=lua(f"return {{n = inputs.n + {more}}}"))],
        **fields,
    )

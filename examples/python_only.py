"""Estimate pi with darts, in parallel: a workflow that is a Python program and nothing else.

python examples/python_only.py
python examples/python_only.py 4000000

The functions below are the nodes. dagrun imports this file in worker processes and calls them there
with the node's inputs as keyword arguments; what they return must be a mapping that JSON can hold.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dagrun
from dagrun import Node, RetryPolicy, Workflow


def plan(darts: int, batches: int) -> Mapping[str, Any]:
    """Part the work: each batch has its own seed, so that it gives the same when it is repeated."""
    return {"batches": [{"seed": seed, "darts": darts // batches} for seed in range(batches)]}


def throw(seed: int, darts: int) -> Mapping[str, Any]:
    """Throw darts at a square, and count those within the quarter of a circle."""
    chance = random.Random(seed)  # noqa: S311 — darts, not keys
    hits = sum(chance.random() ** 2 + chance.random() ** 2 <= 1 for _ in range(darts))
    print(f"seed {seed}: {hits} of {darts}")  # goes to the node's log
    return {"hits": hits, "darts": darts}


def estimate(batches: Sequence[Mapping[str, int]]) -> Mapping[str, Any]:
    """Put the batches together."""
    hits, darts = (sum(batch[name] for batch in batches) for name in ("hits", "darts"))
    return {"pi": 4 * hits / darts}


DARTS = Workflow(
    "darts",
    "1.0.0",  # a version never changes: what you alter in the workflow gets a new one
    inputs={
        "type": "object",
        "properties": {"darts": {"type": "integer", "minimum": 8, "default": 400_000}},
    },
    outputs={"pi": "${nodes.estimate.pi}"},
    nodes=[
        Node(
            "plan",
            executor=dagrun.python(plan),
            inputs={"darts": "${inputs.darts}", "batches": 8},
        ),
        Node(
            "throw",
            dependencies=["plan"],
            executor=dagrun.python(throw),
            for_each="${nodes.plan.batches}",
            inputs={"seed": "${item.seed}", "darts": "${item.darts}"},
            max_parallel=4,
            timeout=60,
            retry=RetryPolicy(max_attempts=3),
        ),
        Node(
            "estimate",
            dependencies=["throw"],
            executor=dagrun.python(estimate),
            inputs={"batches": "${nodes.throw}"},
        ),
    ],
)


def main() -> None:
    """Run it once, durably: ``dagrun runs list`` shows the run."""
    inputs = {"darts": int(sys.argv[1])} if len(sys.argv) > 1 else {}
    with dagrun.open_sync_orchestrator() as orchestrator:
        orchestrator.register_workflow(DARTS)
        result = orchestrator.execute_workflow("darts", inputs)
    result.raise_for_status()
    for node in result.nodes:
        print(f"{node.id}: {node.status}, {len(node.items or [node])} done")
    print(f"pi is about {result.outputs['pi']:.4f}")


if __name__ == "__main__":  # the workers import this file, too, and must not start runs
    main()

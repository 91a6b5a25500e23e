"""The workflows of a monkey's runs: shell nodes that leave a witness, and Lua nodes between them."""

import json
import random
from pathlib import Path
from typing import Any, Final

WITNESS: Final = """
w() { echo "$DAGRUN_RUN_ID $DAGRUN_NODE_ID $ITEM $DAGRUN_ATTEMPT $DAGRUN_EPOCH $1" >> "$WITNESS"; }
w start
sleep "$SECONDS_TO_SLEEP"
w end
"""
SMALLEST, LARGEST = 4, 20  # nodes of a workflow
SHAPES: Final = 6  # different workflows
CHILD, PARENT = "monkey-child", "monkey-parent"


def documents(witness: Path, draw: random.Random) -> dict[str, bytes]:
    """Give workflow id → document."""
    made = {f"monkey-{number}": _random_nodes(witness, draw) for number in range(SHAPES)}
    made[CHILD] = [_shell(witness, "a", [], draw), _lua("b", ["a"])]
    calls = {"type": "workflow", "id": CHILD}
    made[PARENT] = [
        _shell(witness, "first", [], draw),
        {"id": "each", "dependencies": ["first"], "for_each": [1, 2, 3], "executor": calls},
        _lua("second", ["first"]),
        _shell(witness, "last", ["each", "second"], draw),
    ]
    return {name: _document(name, nodes) for name, nodes in made.items()}


def few_documents(witness: Path, draw: random.Random) -> dict[str, bytes]:
    """Give two of them that take little time: one calls the other, for each of two items."""
    child = [_shell(witness, "a", [], draw)]
    calls = {"type": "workflow", "id": CHILD}
    parent = [
        _shell(witness, "first", [], draw),
        {"id": "each", "dependencies": ["first"], "for_each": [1, 2], "executor": calls},
    ]
    for node in (child[0], parent[0]):
        node["executor"]["env"]["SECONDS_TO_SLEEP"] = "0.05"
    return {CHILD: _document(CHILD, child), PARENT: _document(PARENT, parent)}


def _document(workflow_id: str, nodes: list[dict[str, Any]]) -> bytes:
    head = {"id": workflow_id, "version": "1.0.0"}
    document = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": head,
        "spec": {"nodes": nodes},
    }
    return json.dumps(document).encode()


def _random_nodes(witness: Path, draw: random.Random) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for number in range(draw.randint(SMALLEST, LARGEST)):
        earlier = [node["id"] for node in nodes]
        after = draw.sample(earlier, min(len(earlier), draw.choice([0, 1, 1, 2])))
        if number % 3 == 0:
            nodes.append(_shell(witness, f"n{number}", after, draw))
        else:
            nodes.append(_lua(f"n{number}", after))
    if draw.random() < 0.5:
        items = _shell(witness, "items", [nodes[-1]["id"]], draw)
        nodes.append({**items, "for_each": [0, 1, 2]})
        items["executor"]["env"]["ITEM"] = "${item_index}"
    return nodes


def _shell(witness: Path, node_id: str, after: list[str], draw: random.Random) -> dict[str, Any]:
    seconds = draw.choice(["0", "0.05", "0.2", "1.5"])
    env = {"WITNESS": str(witness), "SECONDS_TO_SLEEP": seconds, "ITEM": "-"}
    executor = {"type": "shell", "command": WITNESS, "env": env}
    return {"id": node_id, "dependencies": after, "executor": executor}


def _lua(node_id: str, after: list[str]) -> dict[str, Any]:
    executor = {"type": "lua", "code": "return {n = 1}"}
    return {"id": node_id, "dependencies": after, "executor": executor}

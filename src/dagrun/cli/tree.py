"""``dagrun runs tree``: the runs that a run started, and those that these started."""

from collections.abc import Sequence
from typing import Any

import attrs

from dagrun.cli import output
from dagrun.cli.asking import ask
from dagrun.cli.board import CUT_OFF
from dagrun.cli.options import Asked
from dagrun.domain.status import RUN_ENDED
from dagrun.ports.management import ChildRun, Management, RunManagement


@attrs.define
class Branch:
    """A run, and those that it started."""

    run_id: str
    workflow_id: str
    version: str
    status: str
    resumable: bool
    node_id: str | None = None
    item: int | None = None
    attempt: int | None = None
    children: "list[Branch]" = attrs.field(factory=list)


def show_tree(asked: Asked, run_id: str) -> int:
    """Show the tree. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(management: Management) -> Branch:
        view = await management.runs.get(run_id)
        run = view.result
        root = Branch(run.run_id, run.workflow_id, run.version, run.status, view.resumable)
        return await _grown(root, management.runs)

    root = ask(asked, act)
    if asked.json:
        output.say_json(_json(root))
    else:
        _say_branch(root, 0)
    return output.DONE


async def _grown(root: Branch, runs: RunManagement) -> Branch:
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        children = [_branch(child) for child in await runs.children(branch.run_id)]
        branch.children = _by_node(children)
        waiting += branch.children
    return root


def _by_node(children: Sequence[Branch]) -> list[Branch]:
    """Put the runs of one node together, by item and attempt: they were started in any order."""
    first = {branch.node_id: n for n, branch in reversed(list(enumerate(children)))}
    return sorted(
        children,
        key=lambda one: (
            first[one.node_id],
            -1 if one.item is None else one.item,
            one.attempt or 0,
        ),
    )


def _branch(child: ChildRun) -> Branch:
    run = child.run
    return Branch(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        version=run.version,
        status=run.status,
        resumable=run.resumable,
        node_id=child.node_id,
        item=child.item,
        attempt=child.attempt,
    )


def _json(branch: Branch) -> dict[str, Any]:
    fields = attrs.asdict(branch, recurse=False)
    return {**fields, "children": [_json(child) for child in branch.children]}


def _say_branch(branch: Branch, level: int) -> None:
    item = "" if branch.item is None else f"[{branch.item}]"
    node = "" if branch.node_id is None else f"{branch.node_id}{item}: "
    status = CUT_OFF if branch.resumable and branch.status not in RUN_ENDED else branch.status
    about = f"{branch.workflow_id} {branch.version}"
    output.say(f"{'  ' * level}{node}{branch.run_id}  {status}  {about}")
    for child in branch.children:
        _say_branch(child, level + 1)

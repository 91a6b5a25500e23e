"""``dagrun runs tree``: the runs that a run started, and those that these started."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from dagrun.cli import output
from dagrun.cli.board import CUT_OFF
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.remote import with_server
from dagrun.cli.running import check_run, with_store
from dagrun.domain.ids import RunId
from dagrun.domain.status import RUN_ENDED
from dagrun.ports.management import ChildRun, Management
from dagrun.ports.store import Store
from dagrun.roles.summary import child_run, summary
from dagrun.settings import Settings
from dagrun.settings.client import ClientSettings

Children = Callable[[str], Awaitable[Sequence[ChildRun]]]


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


def show_remote_tree(client: ClientSettings, run_id: str, *, as_json: bool) -> int:
    """Show the tree as a server knows it. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(server: Management) -> Branch:
        view = await server.runs.get(run_id)
        result = view.result
        root = Branch(
            result.run_id, result.workflow_id, result.version, result.status, view.resumable
        )
        return await _grown(root, server.runs.children)

    return _say(with_server(client, act), as_json=as_json)


def show_tree(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Show the tree as the data directory has it. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """
    check_run(settings, run_id)

    async def read(store: Store) -> Branch:
        async def children(of: str) -> Sequence[ChildRun]:
            records = await store.children(RunId(of))
            found = [child_run(settings.data_dir, record) for record in records]
            return [child for child in found if child is not None]

        run = summary(settings.data_dir, await store.run(RunId(run_id)))
        root = Branch(run.run_id, run.workflow_id, run.version, run.status, run.resumable)
        return await _grown(root, children)

    return _say(with_store(settings, load_with_warnings().registry, read), as_json=as_json)


async def _grown(root: Branch, children: Children) -> Branch:
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        branch.children = [_branch(child) for child in await children(branch.run_id)]
        waiting += branch.children
    return root


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


def _say(root: Branch, *, as_json: bool) -> int:
    if as_json:
        output.say_json(_json(root))
    else:
        _say_branch(root, 0)
    return output.DONE


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

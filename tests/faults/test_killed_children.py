"""A process is killed while runs wait for runs: each child is started once, and found again."""

import json
import signal
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from dagrun.testing.programs import COMMAND, call, until

CHILD = """apiVersion: dagrun/v1
kind: Workflow
metadata: {id: child, version: 1.0.0}
spec:
  outputs: {n: "${nodes.work.n}"}
  nodes:
    - id: work
      executor:
        type: shell
        env: {EFFECTS: "$EFFECTS"}
        code: |
          echo start >> "$EFFECTS"
          echo '{"n": 3}' > "$DAGRUN_OUTPUT"
"""
PARENT = """apiVersion: dagrun/v1
kind: Workflow
metadata: {id: parent, version: 1.0.0}
spec:
  outputs: {n: "${nodes.after.n}"}
  nodes:
    - {id: call, executor: {type: workflow, id: child}}
    - {id: after, dependencies: [call], executor: {type: lua, code: "return {n = nodes.call.n * 2}"}}
"""


def dagrun(data, *arguments):
    return call(*COMMAND, *arguments, "--json", folder=data.parent)


def runs_of(data, workflow_id):
    return json.loads(dagrun(data, "runs", "list", "--workflow", workflow_id).stdout)["items"]


@pytest.mark.parametrize(
    ("point", "number"), [("begun", 2), *(("committed", number) for number in range(2, 10))]
)
def test_a_parent_goes_on_with_its_child_after_a_kill_at_any_point_of_a_commit(
    tmp_path, point, number
):
    data, effects = tmp_path / "data", tmp_path / "effects"
    (tmp_path / "child.yaml").write_text(CHILD.replace('$EFFECTS"}', f'{effects}"}}'))
    (tmp_path / "parent.yaml").write_text(PARENT)
    script = Path(__file__).with_name("failpoint_children.py")
    documents = tmp_path / "child.yaml", tmp_path / "parent.yaml"
    killed = call(script, data, *documents, point, number, folder=tmp_path)
    assert killed.returncode in (-9, 0), killed.stderr
    parents = runs_of(data, "parent")
    if not parents:
        assert (number, point) == (2, "begun")  # the first one registers the child
        return
    before = runs_of(data, "child")
    if parents[0]["status"] != "succeeded":
        done = dagrun(data, "run", "--resume", parents[0]["run_id"])
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["outputs"] == {"n": 6}
    (child,) = runs_of(data, "child")
    assert child["status"] == "succeeded"
    assert [run["run_id"] for run in before] in ([], [child["run_id"]])
    starts = len(effects.read_text().split())
    assert 1 <= starts <= 2
    if before and before[0]["status"] == "succeeded":
        assert starts == 1


PROGRAM = textwrap.dedent(
    """
    import sys
    import trio
    import dagrun
    from dagrun import Node, Workflow

    effects, go = sys.argv[1], sys.argv[2]
    child = Workflow(
        "child", "1.0.0",
        nodes=[Node("work", env={"NUMBER": "${inputs.n}"}, executor=dagrun.shell(
            f"echo $NUMBER >> {effects}; test $NUMBER = 1 && exit; "
            f"while ! test -e {go}; do sleep 0.05; done"))],
        outputs={"n": "${inputs.n}"},
    )
    parent = Workflow(
        "parent", "1.0.0",
        nodes=[Node("call", executor=dagrun.sub_workflow("child"), for_each=[1, 2, 3],
                    inputs={"n": "${item}"})],
        outputs={"all": "${nodes.call}"},
    )

    async def main():
        async with dagrun.open_orchestrator(capacity=3) as orchestrator:
            await orchestrator.register_workflow(child)
            await orchestrator.register_workflow(parent)
            result = await orchestrator.execute_workflow("parent", idempotency_key="k")
            print(result.status, [item["n"] for item in result.outputs["all"]], flush=True)

    trio.run(main)
    """
)


def test_a_program_that_was_killed_finds_the_children_of_its_run_again(tmp_path, launch):
    (tmp_path / "program.py").write_text(PROGRAM)
    effects, data = tmp_path / "effects", tmp_path / "data"

    def begun():
        return Counter(effects.read_text().split()) if effects.exists() else Counter()

    process = launch("program.py", effects, tmp_path / "go")
    until(lambda: begun() == Counter("123"))
    until(lambda: [run["status"] for run in runs_of(data, "child")].count("succeeded") == 1)
    children = {run["run_id"] for run in runs_of(data, "child")}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (tmp_path / "go").touch()
    out, _ = launch("program.py", effects, tmp_path / "go").communicate(timeout=60)
    assert out.split("\n")[0] == "succeeded [1, 2, 3]"
    assert {run["run_id"] for run in runs_of(data, "child")} == children
    assert begun() == Counter({"1": 1, "2": 2, "3": 2})

"""Several programs on one data directory at once: none disturbs the others, nothing is lost."""

import json
import textwrap
from collections import Counter

from dagrun.testing.programs import COMMAND

RUNS = 40

PROGRAM = textwrap.dedent(
    """
    import sys
    import trio
    import dagrun
    from dagrun import Node, Workflow

    name, runs = sys.argv[1], int(sys.argv[2])
    workflow = Workflow(
        "shared", "1.0.0",
        nodes=[
            Node("a", executor=dagrun.lua("return {n = inputs.n}")),
            Node("b", executor=dagrun.shell('echo "$DAGRUN_RUN_ID" >> effects'
                                            .replace("effects", sys.argv[3])), dependencies=["a"]),
        ],
        outputs={"n": "${nodes.a.n}"},
    )

    async def main():
        async with dagrun.open_orchestrator(engines=2, capacity=3) as orchestrator:
            await orchestrator.register_workflow(workflow)
            async with trio.open_nursery() as nursery:
                for number in range(runs):
                    nursery.start_soon(one, orchestrator, number)

    async def one(orchestrator, number):
        result = await orchestrator.execute_workflow("shared", {"n": number})
        assert result.raise_for_status().outputs == {"n": number}

    trio.run(main)
    """
)
DOCUMENT = """
apiVersion: dagrun/v1
kind: Workflow
metadata: {id: single, version: 1.0.0}
spec:
  nodes:
    - {id: a, executor: {type: shell, command: 'echo "$DAGRUN_RUN_ID" >> %s'}}
"""


def test_two_programs_and_three_commands_share_a_data_directory(tmp_path, launch):
    effects = tmp_path / "effects"
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "single.yaml").write_text(DOCUMENT % effects)
    programs = [launch("program.py", name, RUNS, effects) for name in ("one", "two")]
    commands = [launch(*COMMAND, "run", "single.yaml", "--json") for _ in range(3)]
    for process in (*programs, *commands):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    listed = launch(*COMMAND, "runs", "list", "--json", "--limit", 1000)
    items = json.loads(listed.communicate()[0])["items"]
    assert Counter(item["workflow_id"] for item in items) == {"shared": 2 * RUNS, "single": 3}
    assert {item["status"] for item in items} == {"succeeded"}
    ran = Counter(effects.read_text().split())
    assert set(ran.values()) == {1}
    assert set(ran) == {item["run_id"] for item in items}
    assert list((tmp_path / "data" / "owners").iterdir()) == []
    assert list((tmp_path / "data" / "scratch").iterdir()) == []

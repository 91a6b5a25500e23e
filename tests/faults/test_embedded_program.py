"""A program that embeds dagrun is killed: nothing accepted is lost, and nothing goes on by itself."""

import json
import signal
import subprocess
import textwrap
from collections import Counter

import pytest

from dagrun.testing.programs import COMMAND, call, until

PROGRAM = textwrap.dedent(
    """
    import sys
    import trio
    import dagrun
    from dagrun import Node, Workflow

    effects, go = sys.argv[1], sys.argv[2]
    workflow = Workflow(
        "bill", "1.0.0",
        nodes=[
            Node("fetch", executor=dagrun.shell(f"echo fetch-$NUMBER >> {effects}"),
                 env={"NUMBER": "${inputs.n}"}),
            Node("send", dependencies=["fetch"], env={"NUMBER": "${inputs.n}"},
                 executor=dagrun.shell(
                     f"echo send-$NUMBER >> {effects}; while ! test -e {go}; do sleep 0.05; done")),
        ],
        outputs={"n": "${inputs.n}"},
    )

    async def main():
        async with dagrun.open_orchestrator(engines=2, capacity=2) as orchestrator:
            await orchestrator.register_workflow(workflow)
            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(one, orchestrator, number)

    async def one(orchestrator, number):
        result = await orchestrator.execute_workflow(
            "bill", {"n": number}, idempotency_key=f"bill-{number}"
        )
        print(result.status, result.outputs["n"], flush=True)

    trio.run(main)
    """
)


@pytest.fixture
def start(tmp_path, launch):
    (tmp_path / "program.py").write_text(PROGRAM)
    return lambda: launch("program.py", tmp_path / "effects", tmp_path / "go")


def effects(tmp_path):
    file = tmp_path / "effects"
    return Counter(file.read_text().split()) if file.exists() else Counter()


def waiting_shells(tmp_path):
    """Give the shells of this test that are alive."""
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    return [line for line in listed.splitlines() if f"test -e {tmp_path}/go" in line]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_was_killed_gets_the_runs_that_it_had_when_it_asks_again(
    tmp_path, start, number
):
    process = start()
    until(lambda: sum(name.startswith("send") for name in effects(tmp_path)) == 4)
    process.send_signal(number)
    process.communicate()
    until(lambda: not waiting_shells(tmp_path))
    before = effects(tmp_path)
    (tmp_path / "go").touch()
    out, _ = start().communicate(timeout=60)
    assert sorted(out.splitlines()) == [f"succeeded {n}" for n in range(6)]
    after = effects(tmp_path)
    assert {name: after[name] for name in after if name.startswith("fetch")} == {
        f"fetch-{n}": 1 for n in range(6)
    }
    for name, count in after.items():
        if name.startswith("send"):  # once more at most: it was cut off
            assert count == before[name] + 1
    listed = call(*COMMAND, "runs", "list", "--json", folder=tmp_path).stdout
    assert [item["status"] for item in json.loads(listed)["items"]] == ["succeeded"] * 6

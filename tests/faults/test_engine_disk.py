"""An engine whose own disk cannot be used, beside one whose disk can."""

import shutil

from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Node, Workflow
from dagrun.testing.elsewhere import until


def workflow(workflow_id):
    say = {"type": "shell", "command": 'echo "{\\"where\\": \\"$PWD\\"}" > $DAGRUN_OUTPUT'}
    return Workflow(workflow_id, "1.0.0", nodes=[Node("a", executor=say)])


async def test_fresh_runs_go_elsewhere_and_the_one_that_waits_goes_on_when_there_is_room(
    opened, tmp_path
):
    async with opened(lease=300.0) as it:  # by heartbeats alone it would take too long
        it.engine("e1")
        await it.attached("e1")
        folders = tmp_path / "e1_1" / "engines"
        shutil.rmtree(folders)
        folders.write_text("where no folder can be made")
        waiting = await it.submit(workflow("first"))

        def status_of(engine):
            return {one.id: one.status for one in it.leading.engines()}.get(engine)

        await until(lambda: status_of("e1") == "unhealthy")
        reasons = (await it.leading.management.runs.explain(waiting)).reasons
        assert any("its disk cannot be used" in reason for reason in reasons)
        it.engine("e2")
        await it.attached("e2")
        for number in range(5):
            done = await it.result(await it.submit(workflow(f"w{number}")))
            assert "/e2_2/" in done.nodes[0].outputs["where"]
        folders.unlink()
        done = await it.result(waiting)
        assert done.status is RunStatus.SUCCEEDED
        assert done.nodes[0].attempts == 1
        assert "/e1_1/" in done.nodes[0].outputs["where"]
        await until(lambda: status_of("e1") == "idle")

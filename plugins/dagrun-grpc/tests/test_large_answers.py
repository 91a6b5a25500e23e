"""Whoever asks for much, and does not read it, has little of it kept for him."""

from types import SimpleNamespace

import trio
from h2.settings import SettingCodes

from dagrun.domain.workflow import Node, Workflow
from dagrun.ports.management import WorkflowView
from dagrun.testing.journals import NOON
from dagrun_grpc.aio.calls import CHECK
from dagrun_grpc.aio.manage_calls import GET_WORKFLOW, MANAGEMENT_SERVICE
from dagrun_grpc.limits import LARGE_AT_ONCE
from dagrun_grpc.testing import LIMIT, connected, message, of_orchestrator, serving
from dagrun_grpc.wire.grpc.health import v1 as health

CALLS = 3 * LARGE_AT_ONCE
WINDOW = 65_535  # bytes, as HTTP/2 has it


class Workflows:
    """One workflow, and how often it was read."""

    def __init__(self):
        self.reads = 0
        self._workflow = Workflow("w", "1.0.0", nodes=[Node("a", executor={"type": "lua"})])

    async def get(self, workflow_id, _version):
        await trio.lowlevel.checkpoint()
        self.reads += 1
        about = {"name": "", "description": "", "labels": {}, "metadata": None}
        view = WorkflowView(
            workflow_id=workflow_id,
            version="1.0.0",
            current=True,
            definition_hash="h",
            registered_at=NOON,
            **about,
        )
        return view, self._workflow


async def test_few_large_answers_wait_for_a_client_that_does_not_read():
    workflows = Workflows()
    offered = of_orchestrator(management=SimpleNamespace(workflows=workflows))
    async with serving(neighbour=False, offered=offered) as served, connected(served.port) as raw:
        raw.http.initiate_connection()
        raw.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        await raw.flush()
        calls = [await raw.call(GET_WORKFLOW.path) for _ in range(CALLS)]
        for number in calls:
            await raw.data(number, message(b"\x0a\x01w"), end=True)
        check = await raw.call(CHECK.path)
        asked = bytes(health.HealthCheckRequest(service="other"))
        await raw.data(check, message(asked), end=True)
        assert (await raw.status(check))[0] == 5  # NOT_FOUND, for which no window is needed
        assert workflows.reads <= LARGE_AT_ONCE
        raw.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
        await raw.flush()
        with trio.fail_after(LIMIT):
            assert [await raw.status(number) for number in calls] == [(0, "")] * CALLS
        assert workflows.reads == CALLS


def test_lists_and_what_has_the_size_of_a_document_is_known_to_be_large():
    large = {call.path.rpartition("/")[2] for call in MANAGEMENT_SERVICE if call.large}
    assert large == {
        *("GetWorkflow", "GetRunWorkflow", "GetRun"),
        *("ListWorkflows", "ListWorkflowVersions", "ListRuns", "ListSubWorkflows", "ListEvents"),
    }

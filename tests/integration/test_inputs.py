"""What nodes of every executor are given as inputs, when it is a lot."""

from dagrun.domain.result import run_result
from dagrun.domain.workflow import ExecutorSpec, Node, RetryPolicy, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings

ITEM = 'return {text = ("x"):rep(1000000)}'
MODULE = "def count(all, more=()):\n    return {'n': len(all) + len(more)}\n"
EXECUTORS = {
    "lua": {"type": "lua", "code": "return {n = #inputs.all}"},
    "shell": {"type": "shell", "command": 'test -s "$DAGRUN_INPUTS"'},
    "code": {"type": "python", "code": "outputs = {'n': len(inputs['all'])}"},
    "process": {"type": "python", "callable": "large:count"},
    "inline": {"type": "python", "callable": "large:count", "isolation": "inline"},
}


def specified(options):
    rest = {name: value for name, value in options.items() if name != "type"}
    return ExecutorSpec(type=options["type"], options=rest)


async def results(tmp_path, items, **inputs):
    """Give all of a fan-out of so many MB to a node of each executor. Gives id → how it went."""
    (tmp_path / "large.py").write_text(MODULE)
    each = Node("each", executor=specified({"type": "lua", "code": ITEM}), for_each=(1,) * items)
    nodes = [
        Node(
            name,
            executor=specified(options),
            dependencies=["each"],
            inputs=inputs,
            allow_failure=True,
            retry=RetryPolicy(max_attempts=3, first_delay=0.01),
        )
        for name, options in EXECUTORS.items()
    ]
    workflow = Workflow("large", "1.0.0", nodes=[each, *nodes])
    settings = Settings(data_dir=tmp_path / "data", parallel=4)
    async with open_local(load_plugins().registry, settings) as local:
        ticket = await local.submit(Submission(workflow=workflow, inputs={}, base=tmp_path))
        await ticket.wait()
        return {node.id: node for node in run_result(ticket.state).nodes if node.id != "each"}


async def test_every_executor_is_given_all_that_a_fan_out_may_give(tmp_path):
    nodes = await results(tmp_path, 3, all="${nodes.each}")
    assert {node.id: node.error for node in nodes.values()} == dict.fromkeys(EXECUTORS)
    assert {nodes[name].outputs["n"] for name in ("lua", "code", "process", "inline")} == {3}


async def test_inputs_beyond_the_limit_fail_the_node_once_whatever_executes_it(tmp_path):
    nodes = await results(tmp_path, 9, all="${nodes.each}", more="${nodes.each}")
    for node in nodes.values():
        assert (node.error["type"], node.attempts) == ("inputs", 1)
        assert node.error["message"] == (
            "the inputs are refused: it has 18000234 bytes of JSON; at most 16777216 are allowed"
        )

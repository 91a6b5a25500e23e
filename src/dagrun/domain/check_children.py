"""Checks of nodes that run other workflows: keys that would have no effect."""

from dagrun.domain.check_parts import Findings, no_effect
from dagrun.domain.children import TYPE
from dagrun.domain.document.places import Finding, Path
from dagrun.domain.workflow import Handler, Node, OnEngineLoss


def check_caller(node: Node, path: Path) -> Findings:
    """Check a node, if it runs another workflow."""
    if node.executor.type != TYPE:
        return
    if "inputs" in node.executor.options:
        message = "the inputs of the run are those of the node: write them beside `executor`"
        yield Finding(path=(*path, "executor", "inputs"), message=message, on_key=True)
    if node.timeout is not None:
        yield no_effect((*path, "timeout"), f"it is the run's own time; {_set_it_there(node)}")
    if node.on_engine_loss is OnEngineLoss.FAIL:
        reason = "when an engine is lost, the next one goes on waiting for the same run"
        yield no_effect((*path, "on_engine_loss"), reason)
    if node.outputs is not None:
        reason = "the outputs are those of the workflow that it runs"
        yield no_effect((*path, "outputs"), reason)


def _set_it_there(node: Node) -> str:
    return f"set `spec.timeout` of the workflow {node.executor.options.get('id')!s:.128}"


def check_calling_handler(handler: Handler, path: Path) -> Findings:
    """Check a handler, if it runs another workflow: it cannot wait for it."""
    if handler.executor.type == TYPE and handler.executor.options.get("wait", True) is True:
        message = "a handler cannot wait for a run; say `wait: false`, and it is only started"
        yield Finding(path=(*path, "executor"), message=message)

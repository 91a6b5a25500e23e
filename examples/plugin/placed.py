"""Six bills on three engines. The balancer ``pinned`` keeps those of a customer on one of them."""

import trio

import dagrun
from dagrun import Node, Placement, Workflow

bill = Workflow(
    "bill",
    "1.0.0",
    nodes=[Node("write", executor=dagrun.lua("return {text = 'for ' .. inputs.customer}"))],
    placement=Placement(balancer="pinned", key="${inputs.customer}"),
)


async def main() -> None:
    """Write them one after the other, and print where each was written."""
    async with dagrun.open_orchestrator(engines=3) as orchestrator:
        await orchestrator.register_workflow(bill)
        async with orchestrator.monitor.subscribe(types=["run.running"]) as events:
            for customer in ("ada", "bob", "cyd") * 2:
                await orchestrator.execute_workflow("bill", {"customer": customer})
                event = await anext(events)
                print(customer, event.engine_id.rpartition("/")[2])


trio.run(main)

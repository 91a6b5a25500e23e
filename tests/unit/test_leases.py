"""When leases end, as the orchestrator sees it."""

import trio

from dagrun.services.fleet.leases import Leases

LEASE = 10.0


async def test_no_lease_ends_while_nobody_can_be_heard_nor_soon_after(autojump_clock, nursery):
    ends = []
    leases = Leases(LEASE, lambda _before: ends.append(trio.current_time()))
    await nursery.start(leases.run)
    with leases.held():
        await trio.sleep(5 * LEASE)
    await trio.sleep(0.99 * LEASE)
    assert ends == []
    await trio.sleep(0.2 * LEASE)
    assert min(ends) >= 6 * LEASE

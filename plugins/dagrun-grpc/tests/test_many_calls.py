"""Many calls of one client, on its one connection."""

import trio

from dagrun.ports.management import Wanted
from dagrun.testing.managed import managed
from dagrun_grpc import grpc
from dagrun_grpc.limits import MAX_STREAMS

LIMIT = 20.0  # seconds; less than a client waits for its turn


async def test_more_calls_at_once_than_a_connection_may_have_are_all_answered(tmp_path):
    answers = []

    async def ask(client):
        answers.append(await client.engines.list())

    async with (
        managed(tmp_path, lambda: grpc(port=0), engine=False) as world,
        grpc() as transport,
        transport.manage(world.address) as client,
    ):
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                for _ in range(3 * MAX_STREAMS):
                    nursery.start_soon(ask, client)
    assert answers == [[]] * 3 * MAX_STREAMS


async def test_nothing_is_left_of_calls_that_have_ended_or_were_given_up(tmp_path):
    async with (
        managed(tmp_path, lambda: grpc(port=0), engine=False) as world,
        grpc() as transport,
        transport.manage(world.address) as client,
    ):
        for _ in range(10):
            await client.engines.list()
            async with client.events.follow(Wanted()):
                pass
        (connection,) = transport._bridge.opened
        assert not connection.processor.streams

"""What the operator gets wrong is said at once, and names what it is."""

import subprocess
import sys

import pytest
import trio

from dagrun.errors import ConfigError
from dagrun_grpc import grpc
from dagrun_grpc.address import joined, split
from dagrun_grpc.testing import serving


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"port": 65536}, "65536 is no port"),
        ({"port": -1}, "-1 is no port"),
        ({"max_connections": 0}, "max_connections"),
        ({"connection_timeout": 0}, "connection_timeout"),
        ({"token": ""}, "token"),
        ({"token": "a\nb"}, "token"),
        ({"token": " a"}, "token"),
        ({"token": "ü"}, "token"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options, what):
    with pytest.raises(ConfigError, match=what):
        grpc(**options)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        ":1",
        "host:0",
        "host:65536",
        "a b:1",
        "::1:1",
        "http://a:1",
        "a:1/b",
        "[::1]",
        "a..b:1",
        "x" * 70 + ":1",
        "x." * 150 + "x:1",
        "a\x1bb:1",
        "a\x7fb:1",
        "a\x9bb:1",
        "a\u202eb:1",
    ],
)
async def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="no address"):
        split(address)
    async with grpc() as transport:
        with pytest.raises(ConfigError, match="no address"):
            async with transport.attach(address):
                pass


def test_of_what_is_no_address_the_beginning_is_shown():
    with pytest.raises(ConfigError) as raised:
        split("x." * 1_000_000 + ":1")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("address", ["[::1]:50051", "127.0.0.1:1", "engine-1.example:65535"])
def test_addresses_are_written_as_they_are_read(address):
    assert joined(split(address)) == address


async def test_a_port_that_is_taken_is_named():
    async with serving(neighbour=False) as served, grpc(port=served.port) as other:
        with pytest.raises(ConfigError, match=f"{served.address} cannot be listened on: Addr"):
            await other.serve_orchestrator(trio.sleep_forever)


async def test_a_host_that_does_not_exist_cannot_be_listened_on():
    async with grpc(address="nowhere.invalid", port=0) as transport:
        with pytest.raises(ConfigError, match=r"nowhere.invalid:0 cannot be listened on"):
            await transport.serve_engine(trio.sleep_forever)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_what_cannot_be_a_host_cannot_be_listened_on(host):
    async with grpc(address=host, port=0) as transport:
        with pytest.raises(ConfigError, match="cannot be listened on"):
            await transport.serve_engine(trio.sleep_forever)


async def test_it_listens_on_ipv6():
    async with serving(address="::1") as served:
        assert served.address.startswith("[::1]:")


def test_the_plugin_imports_nothing_heavy_before_it_is_used():
    code = (
        "import sys, dagrun_grpc; "
        "print(*{'grpclib', 'h2', 'asyncio', 'trio_asyncio', 'betterproto2'} & set(sys.modules))"
    )
    program = [sys.executable, "-c", code]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == ""

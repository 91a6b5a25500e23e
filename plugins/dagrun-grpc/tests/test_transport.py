"""The grpc transport does what the port says."""

from contextlib import asynccontextmanager

import pytest
import trustme

from dagrun.plugin.loading import load_plugins
from dagrun.testing.transports import TransportSuite
from dagrun_grpc import grpc


class TestGrpcTransport(TransportSuite):
    nobody = "127.0.0.1:1"

    @asynccontextmanager
    async def open_pair(self):
        async with grpc() as dials, grpc(port=0) as listens:
            yield dials, listens


class TestGrpcTransportWithTls(TransportSuite):
    nobody = "127.0.0.1:1"

    @pytest.fixture(autouse=True)
    def certificates(self, tmp_path):
        authority = trustme.CA()
        both = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        both.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        self.files = {
            "tls_ca": tmp_path / "ca.pem",
            "tls_cert": tmp_path / "both.pem",
            "tls_key": tmp_path / "both.pem",
        }

    @asynccontextmanager
    async def open_pair(self):
        async with grpc(**self.files) as dials, grpc(port=0, **self.files) as listens:
            yield dials, listens


def test_the_transport_is_on_its_shelf():
    assert load_plugins().registry.transports.get("grpc") is grpc

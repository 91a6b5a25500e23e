"""What modules of integration tests share that are about one thing."""

from types import SimpleNamespace

import pytest
import trio

from dagrun.builtin.http import HttpExecutor, HttpOptions
from dagrun.errors import NodeError
from dagrun.testing.context import FakeContext, outputs_of
from dagrun.testing.http_server import LIMIT, LOOPBACK


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def context(tmp_path):
    """Make what an HTTP node is called with."""

    def make(url, *, secrets=(), **options):
        return FakeContext(
            options=HttpOptions(url=url, **options),
            scratch=tmp_path,
            base=tmp_path,
            processes=SimpleNamespace(),
            secrets=dict(secrets),
        )

    return make


@pytest.fixture
def ask(context):
    """Make one HTTP request with an executor of its own; give its outputs."""

    async def call(url, *, allow=LOOPBACK, resolve=None, **options):
        async with HttpExecutor(http_allow=allow, resolve=resolve) as executor:
            return outputs_of(await executor.execute(context(url, **options)))

    return call


@pytest.fixture
def fail(ask):
    """Make one HTTP request that fails; give the error."""

    async def call(url, **options):
        with trio.fail_after(LIMIT), pytest.raises(NodeError) as caught:
            await ask(url, **options)
        return caught.value

    return call

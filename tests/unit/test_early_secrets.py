"""Secrets are looked for before a run starts, where a provider knows at once."""

import pytest

from dagrun.domain.workflow import Workflow
from dagrun.errors import SecretError
from dagrun.plugin.registry import Registry
from dagrun.roles.secrets import check_secrets
from dagrun.settings import Settings
from dagrun.testing.drive import make_node

VALUE = "the-value-itself"


class Early:
    """Has some secrets, and quotes what it should not when it breaks."""

    early = True
    settings = ("parallel",)

    def __init__(self, *, parallel):
        self.opened = False
        assert parallel == 3

    async def __aenter__(self):
        self.opened = True
        return self

    async def __aexit__(self, *_):
        self.opened = False

    async def get(self, reference):
        assert self.opened
        match reference:
            case "there":
                return VALUE
            case "broken":
                raise ExceptionGroup("x", [ValueError(VALUE)])
        raise SecretError("there is none")


class Late:
    def __init__(self):
        raise AssertionError("it may be far away, and is asked by the nodes alone")


@pytest.fixture
def check(tmp_path):
    registry = Registry()
    with registry.filled_by("test"):
        registry.secrets.add("early", Early)
        registry.secrets.add("late", Late)

    async def call(*, of_all=None, ended=(), **of_nodes):
        nodes = [make_node(name, secrets=secrets) for name, secrets in of_nodes.items()]
        workflow = Workflow("w", "1.0.0", nodes=nodes, secrets=of_all or {})
        settings = Settings(data_dir=tmp_path / "none", parallel=3)
        await check_secrets(workflow, registry, settings, ended=ended)

    return call


async def test_what_is_there_or_known_later_stops_nothing(check, tmp_path):
    await check(of_all={"A": "early:there", "B": "late:x", "C": "missing:x"}, a={}, b={})
    assert not (tmp_path / "none").exists()


async def test_all_that_is_missing_is_named_once_and_no_value_is_quoted(check):
    with pytest.raises(SecretError) as caught:
        await check(
            of_all={"A": "early:none", "B": "late:x"},
            a={"K": "early:broken", "A": "early:none"},
            b={"A": "early:other", "T": "early:there"},
        )
    assert str(caught.value) == (
        "w needs secrets that cannot be had: A (early:none): there is none; "
        "A (early:other): there is none; K (early:broken): the provider failed with ValueError"
    )
    error = caught.value
    while error is not None:
        assert VALUE not in repr(error)
        error = error.__cause__ or error.__context__


async def test_nodes_that_have_ended_need_theirs_no_more(check):
    await check(a={"K": "early:none"}, b={"K": "early:there"}, ended={"a"})
    with pytest.raises(SecretError, match="early:none"):
        await check(of_all={"A": "early:none"}, a={}, ended={"a"})

# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""All that every store must do."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from dagrun.ports.store import Store
from dagrun.testing.limits import WHOLE
from dagrun.testing.stores.assignments import AssignmentsSuite
from dagrun.testing.stores.children import ChildrenSuite
from dagrun.testing.stores.claims import ClaimsSuite
from dagrun.testing.stores.families import FamiliesSuite
from dagrun.testing.stores.journals import JournalsSuite
from dagrun.testing.stores.messages import MessagesSuite
from dagrun.testing.stores.order import OrderSuite
from dagrun.testing.stores.projections import ProjectionsSuite
from dagrun.testing.stores.pruning import PruningSuite
from dagrun.testing.stores.requests import RequestsSuite
from dagrun.testing.stores.reruns import RerunsSuite
from dagrun.testing.stores.slots import SlotsSuite
from dagrun.testing.stores.tokens import TokensSuite
from dagrun.testing.stores.workflows import WorkflowsSuite


async def _fail_late() -> None:
    await trio.sleep(WHOLE)
    pytest.fail(f"the test takes more than {WHOLE:g} s")


class StoreSuite(
    AssignmentsSuite,
    ChildrenSuite,
    ClaimsSuite,
    FamiliesSuite,
    JournalsSuite,
    MessagesSuite,
    OrderSuite,
    ProjectionsSuite,
    PruningSuite,
    RequestsSuite,
    RerunsSuite,
    SlotsSuite,
    TokensSuite,
    WorkflowsSuite,
    ABC,
):
    """Inherit it in a test module, and say how to make a store; pytest-trio runs the rest."""

    @abstractmethod
    def make_store(self, folder: Path) -> Store:
        """Make a store that keeps what it has in ``folder``."""

    @pytest.fixture
    async def store(self, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Store]:
        nursery.start_soon(_fail_late)  # it ends with the test, and the test with it
        async with self.make_store(tmp_path) as store:
            yield store

    async def test_a_store_says_what_people_know_it_by(self, store: Store) -> None:
        assert store.place

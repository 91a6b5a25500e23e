import os
import sqlite3
from contextlib import closing

import pytest
import trio

import dagrun
from dagrun import Node, Workflow
from dagrun.errors import NodeError
from dagrun.testing.executors import ExecutorSuite, FakeContext, options_of
from dagrun_example.sqlite import SqliteExecutor

MINUTE = "with recursive n(i) as (values(1) union all select i + 1 from n limit 200000000)"


@pytest.fixture
def shop(tmp_path):
    """Make a database of three orders."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute("create table orders (id integer primary key, price real)")
        database.executemany("insert into orders (price) values (?)", [(5.0,), (20.0,), (None,)])
    return tmp_path / "shop.db"


class TestSqlite(ExecutorSuite):
    @pytest.fixture(autouse=True)
    def _shop(self, shop):
        self.database = str(shop)

    def executor(self):
        return SqliteExecutor()

    def ask(self, query):
        return options_of(SqliteExecutor, database=self.database, query=query)

    def gives(self):
        return self.ask("select 42 as answer")

    def answer_of(self, outputs):
        return outputs["rows"][0]["answer"]

    def fails(self):
        return self.ask("select"), "query"

    def works(self):
        return self.ask(f"{MINUTE} select max(i) from n")

    def floods(self):
        return self.ask("select hex(zeroblob(1000000)) as text")


@pytest.fixture
def ask(shop):
    """Ask the database as a node would, beside whose document it lies."""

    async def call(query, *, database="shop.db", **more):
        options = options_of(SqliteExecutor, database=database, query=query, **more)
        context = FakeContext(options=options, scratch=shop.parent, base=shop.parent)
        return (await SqliteExecutor().execute(context))["rows"]

    return call


async def test_rows_are_objects_and_parameters_are_put_in_by_name(ask):
    query = "select id, price from orders where id >= :least order by id desc"
    rows = await ask(query, parameters={"least": 2})
    assert rows == [{"id": 3, "price": None}, {"id": 2, "price": 20.0}]


@pytest.mark.parametrize(
    ("query", "more", "kind"),
    [
        ("select 1", {"database": "missing.db"}, "database"),
        ("select 1", {"database": "/dev/zero"}, "database"),
        ("select id from orders", {"database": __file__}, "database"),
        ("delete from orders", {}, "query"),
        ("vacuum into 'missing.db'", {}, "query"),
        ("attach 'missing.db' as other", {}, "query"),
        ("select 1; select 2", {}, "query"),
        ("select :missing", {}, "query"),
        ("select :n", {"parameters": {"n": 2**64}}, "query"),
        ("select :n", {"parameters": {"n": [1]}}, "query"),
        ("select 1 as a, 2 as a", {}, "query"),
        ("select id from orders", {"max_rows": 2}, "rows"),
        ("select zeroblob(1) as b", {}, "output"),
        ("select 9e999 as n", {}, "output"),
        (f"{MINUTE} select hex(zeroblob(9999)) from n limit 99", {}, "output"),
    ],
)
async def test_a_failure_says_whose_fault_it_is(ask, shop, monkeypatch, query, more, kind):
    monkeypatch.chdir(shop.parent)
    with pytest.raises(NodeError) as caught:
        await ask(query, **more)
    assert caught.value.type == kind
    assert not (shop.parent / "missing.db").exists()


async def test_a_pipe_holds_nobody_up(ask, shop):
    os.mkfifo(shop.parent / "pipe.db")
    with trio.fail_after(5), pytest.raises(NodeError, match="no such file"):
        await ask("select 1", database="pipe.db")


async def test_a_database_that_somebody_writes_to_is_busy(ask, shop):
    with closing(sqlite3.connect(shop, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(NodeError) as caught:
            await ask("select id from orders")
    assert caught.value.type == "busy"
    assert len(await ask("select id from orders")) == 3


async def test_a_workflow_finds_it_and_writes_no_value_into_the_query(tmp_path, shop):
    asking = {
        "type": "sqlite",
        "database": str(shop),
        "query": "select :text as text, '${inputs.text}' as literal",
        "parameters": {"text": "${inputs.text}"},
    }
    async with dagrun.open_orchestrator(data_dir=tmp_path, store="memory") as orchestrator:
        await orchestrator.register_workflow(
            Workflow("w", "1.0.0", nodes=[Node("ask", executor=asking)])
        )
        result = await orchestrator.execute_workflow("w", {"text": "it's"})
    assert result.node("ask").outputs["rows"] == [{"text": "it's", "literal": "${inputs.text}"}]

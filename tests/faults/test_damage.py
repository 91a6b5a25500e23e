"""A damaged database is refused by name, with what to do; nothing of it is executed or changed."""

import shutil
import sqlite3
from contextlib import closing

import pytest
import trio

from dagrun.cli.app import run_command
from dagrun.cli.running import run_async
from dagrun.domain.workflow import ExecutorSpec, Node, Workflow
from dagrun.errors import StoreCorrupt
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings

WORKFLOW = Workflow(
    "w",
    "1.0.0",
    inputs={"properties": {"n": {"type": "integer"}}},
    nodes=[
        Node("a", executor=ExecutorSpec(type="lua", options={"code": "return {n = 1}"})),
        Node(
            "b",
            executor=ExecutorSpec(type="shell", options={"command": "sleep 60"}),
            dependencies=["a"],
            when="nodes.a.n > 0",
        ),
    ],
)
DEFINITION = {
    "a dependency": """replace(body, '"dependencies":["a"]', '"dependencies":["z"]')""",
    "a condition": "replace(body, 'nodes.a.n > 0', 'nodes.a.n >')",
    "code": "replace(body, 'return {n = 1}', 'return {n = 2}')",
    "a blank": "body || ' '",
    "half of it": "substr(body, 1, length(body) / 2)",
}
JOURNAL = {
    "a node": "update events set node_id = 'z' where node_id = 'a'",
    "no zone": "update events set time = replace(time, '+00:00', '') where node_id = 'a'",
    "no time": "update events set time = 'yesterday' where node_id = 'a'",
    "no data": "update events set data = '{' where type = 'node.succeeded'",
    "no events": "delete from events",
    "no last event": "delete from events where position = (select max(position) from events)",
    "an event in the middle": "delete from events where seq = 3",
    "no definition": "delete from definitions",
    "another definition": "update runs set definition_hash = 'abc'",
    "no text": "update runs set inputs = x'80'",
}
RUN = {
    "half of the inputs": "update runs set inputs = '{\"n\":'",
    "inputs of a kind that there is not": "update runs set inputs = '[]'",
    "a position before the end": "update runs set last_seq = last_seq - 1",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Give a data directory with a run that was cut off, and the run's id."""
    data = tmp_path_factory.mktemp("original") / "data"

    async def make():
        started = trio.Event()

        def see(events):
            if any((event.type, event.node_id) == ("node.running", "b") for event in events):
                started.set()

        settings = Settings(data_dir=data, parallel=2)
        async with open_local(load_plugins().registry, settings, committed=see) as local:
            submission = Submission(workflow=WORKFLOW, inputs={"n": 1})
            run_id = (await local.submit(submission)).run_id
            await started.wait()
            return run_id

    return data, trio.run(make)


@pytest.fixture
def damaged(original, tmp_path, capsys):
    """Damage a copy, and give what was said of it."""
    data, run_id = original
    shutil.copytree(data, tmp_path / "data")
    return Damaged(tmp_path / "data", run_id, capsys)


class Damaged:
    """A data directory in which something is not as it was written."""

    def __init__(self, data, run_id, capsys):
        self.data, self.run_id, self._capsys = data, run_id, capsys
        self.file = data / "dagrun.db"

    def change(self, statement):
        """Let somebody write to the database who is not dagrun."""
        with closing(sqlite3.connect(self.file)) as connection:
            assert connection.execute(statement).rowcount
            connection.commit()

    def rows(self):
        """Give what is stored of the run."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.text_factory = bytes
            return [
                connection.execute(f"select * from {table}").fetchall()
                for table in ("events", "nodes", "definitions")
            ]

    def refuses(self, *command):
        """A command ends with the exit code 2, and names the file and what to do."""
        assert run_command([*command, self.run_id, "--data-dir", str(self.data)]) == 2
        self.names_it(self._capsys.readouterr().err)

    def names_it(self, said):
        assert str(self.file) in said
        assert "restore" in said
        assert "backup" in said

    def refuses_to_go_on(self):
        """Nothing is journaled, and the reason names the file and what to do."""
        before = self.rows()
        self.cannot_go_on()
        assert self.rows() == before

    def cannot_go_on(self):
        async def go_on():
            settings = Settings(data_dir=self.data, parallel=2)
            async with open_local(load_plugins().registry, settings) as local:
                await (await local.go_on(self.run_id)).wait()

        with pytest.raises(StoreCorrupt) as caught:
            run_async(go_on)
        self.names_it(str(caught.value))


@pytest.mark.parametrize("change", DEFINITION.values(), ids=DEFINITION)
def test_a_definition_that_is_not_what_was_stored_is_not_executed(damaged, change):
    damaged.change(f"update definitions set body = {change}")
    for command in ("show", "logs", "explain", "watch"):
        damaged.refuses("runs", command)
    damaged.refuses_to_go_on()


@pytest.mark.parametrize("change", JOURNAL.values(), ids=JOURNAL)
def test_a_journal_that_is_not_what_was_stored_is_refused(damaged, change):
    damaged.change(change)
    for command in ("show", "logs", "explain", "watch"):
        damaged.refuses("runs", command)
    damaged.refuses_to_go_on()


@pytest.mark.parametrize("change", RUN.values(), ids=RUN)
def test_a_run_that_is_not_what_was_stored_does_not_go_on(damaged, change):
    damaged.change(change)
    damaged.refuses_to_go_on()


def test_a_schema_that_is_no_text_is_refused(damaged):
    content = damaged.file.read_bytes()
    damaged.file.write_bytes(content.replace(b"CREATE TABLE runs", b"CREATE T\xc1BLE runs"))
    damaged.refuses("runs", "show")
    damaged.cannot_go_on()

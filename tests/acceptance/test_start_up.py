"""What a short run does not wait for."""

import json
from pathlib import Path

from dagrun.testing.programs import COMMAND, call

THREE = Path(__file__).parents[2] / "benchmarks" / "three.yaml"
LATER = {
    "difflib": "what is misspelt",
    "tomllib": "a dagrun.toml",
    "rich": "a terminal",
    "platformdirs": "the default data directory",
    "jsonschema": "a schema",
    "httpx": "an http node",
    "httpcore": "an http node",
    "asyncio": "no node of ours",
    "dagrun.builtin.http.client": "an http node",
    "dagrun.cli.app_runs": "the commands below runs",
    "dagrun.domain.addresses": "an http node, or hosts that one may reach",
    "dagrun.domain.document.legacy": "a document of the older format",
    "dagrun.domain.document.legacy_configuration": "the same",
}
"""Modules that only some runs need, and which."""

COLLECTOR = """
import gc

def state():
    looks = gc.get_stats()[0]["collections"]
    return {"works": gc.isenabled(), "left_alone": gc.get_freeze_count(), "looks": looks}
"""
PROBE = """
  outputs: {found: "${nodes.a}"}
  nodes:
    - {id: a, executor: {type: python, callable: "collector:state", isolation: inline}}
"""


def test_a_run_loads_only_what_it_uses(tmp_path):
    done = call("-X", "importtime", *COMMAND, "run", THREE, folder=tmp_path)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"dagrun.domain.document.loader", "dagrun_lua.executor"} <= loaded
    assert loaded & LATER.keys() == set()


def test_the_garbage_collector_works_in_a_run_and_leaves_alone_what_is_imported(
    dagrun, write, tmp_path
):
    (tmp_path / "collector.py").write_text(COLLECTOR)
    found = json.loads(dagrun("run", write(PROBE), "--json").stdout)["outputs"]["found"]
    assert found["works"]
    assert found["left_alone"] > 20_000
    assert found["looks"] < 30  # and 80 or more if it looks through what is being imported

"""What a short run does not wait for."""

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


def test_a_run_loads_only_what_it_uses(tmp_path):
    done = call("-X", "importtime", *COMMAND, "run", THREE, folder=tmp_path)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"dagrun.domain.document.loader", "dagrun_lua.executor"} <= loaded
    assert loaded & LATER.keys() == set()

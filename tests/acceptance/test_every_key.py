"""Each key of a document changes something that can be seen.

A key without a probe fails. A probe is a document; the second one differs in that key only. The
options of the executor ``http`` have theirs in ``test_every_http_option.py``.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrun.plugin.loading import load_plugins
from dagrun.settings import Settings
from dagrun.testing.crowds import ENGINES, run_in_line, run_spread, run_twice
from dagrun.testing.observe import Seen, cancelled_document, cut_off_document, run_without_disk
from dagrun.testing.placed import run_elsewhere
from dagrun.testing.probes import Probe, document_keys, lua, observe, option_keys, shell

REGISTRY = load_plugins().registry
REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"

ACT_LATER = {
    "spec.triggers",
}
"""Keys that have no effect yet, with all that is written below them. One that acts leaves this
list, and gets a probe for itself and for each key below it."""

ELSEWHERE = {"http", "workflow"}
"""Executors whose options are probed in a file of their own."""


def refused(seen: Seen) -> bool:
    return seen.refused is not None


def result(name: str) -> Callable[[Seen], Any]:
    return lambda seen: getattr(seen.result, name)


def last(name: str) -> Callable[[Seen], Any]:
    return lambda seen: getattr(seen.last, name)


def stored(name: str) -> Callable[[Seen], Any]:
    return lambda seen: getattr(seen.stored, name)


def names(seen: Seen) -> list[str]:
    return [node.id for node in seen.nodes]


def said(seen: Seen) -> str:
    return seen.log


def handlers(seen: Seen) -> list[str]:
    return [handler.id for handler in seen.result.handlers or ()]


def handler(name: str) -> Callable[[Seen], Any]:
    return lambda seen: getattr(seen.result.handlers[-1], name)


def on_one_engine(seen: Seen) -> bool:
    return len(set(seen.engines())) == 1


def in_turn(seen: Seen) -> bool:
    engines = seen.engines()
    return len(set(engines)) == ENGINES and engines[ENGINES:] == engines[:-ENGINES]


FAILS = {"executor": shell("exit 1")}
TELLS = {"executor": shell("echo ${KEY:-nothing}")}
WAITS = {"executor": shell("sleep 0.5")}
GREETS = {"executor": shell('echo "$GREETING"')}
DEAF = shell("trap 'sleep 0.3; echo late; exit 1' TERM; echo deaf; sleep 60 & wait")
RETRIES = {"max_attempts": 3, "first_delay": 0.01, "backoff": 1, "jitter": 0}
CUT_OFF = shell(
    '[ -e "$RUN" ] && exit 0; touch "$RUN"; sleep 600', cwd=".", env={"RUN": "${run.id}"}
)
EARLY = shell(
    '[ -e "held-$RUN" ] && x=true || x=false; touch "ran-$RUN"; echo "{\\"early\\": $x}" > $DAGRUN_OUTPUT',
    cwd=".",
    env={"RUN": "${run.id}"},
)
WAITS_TO_GO = shell(
    'touch "here-$RUN"; until [ -e "held-$RUN" ]; do sleep 0.01; done',
    cwd=".",
    env={"RUN": "${run.id}"},
)
SCHEMA = {"type": "object", "required": ["n"]}
ANOTHER = {"id": "another", "executor": shell("exit 0")}
TWO = {"for_each": [1, 2]}
HANDLER = {"executor": shell("exit 0")}
AT_THE_GATE = shell('until [ -e "$GATE" ]; do sleep 0.01; done', env={"GATE": "${inputs.gate}"})
TWICE = {"node": {"executor": AT_THE_GATE}, "way": run_twice}
LIMITED = {"concurrency": {"key": "k"}}
NOTHING = {"executor": lua("return {}")}
ASKS = {**NOTHING, "requires": {}}

PROBES = {
    "apiVersion": Probe("dagrun/v9", refused),
    "kind": Probe("Job", refused),
    "metadata": Probe({"id": "other", "version": "1.0.0"}, result("workflow_id")),
    "metadata.id": Probe("other", result("workflow_id")),
    "metadata.version": Probe("2.0.0", result("version")),
    "metadata.name": Probe("A name", stored("name")),
    "metadata.description": Probe("What it is for.", stored("description")),
    "metadata.labels": Probe({"team": "data"}, stored("labels")),
    "metadata.annotations": Probe({"wiki": "there"}, stored("annotations")),
    "spec": Probe({"nodes": [ANOTHER]}, names),
    "spec.nodes": Probe([ANOTHER], names),
    "spec.inputs": Probe(SCHEMA, refused),
    "spec.outputs": Probe({"a": 1}, result("outputs")),
    "spec.env": Probe({"GREETING": "hello"}, said, node=GREETS),
    "spec.secrets": Probe({"KEY": "env:PROBE"}, said, node=TELLS),
    "spec.timeout": Probe(0.1, result("error"), node=WAITS),
    "spec.start_timeout": Probe(0.05, result("error"), way=run_in_line),
    "spec.priority": Probe(1, Seen.starts, way=run_in_line),
    "spec.concurrency": Probe({"key": "k"}, Seen.most_runs, **TWICE),
    "concurrency.key": Probe(
        "k", Seen.most_runs, spec={"concurrency": {"key": "${inputs.n}"}}, **TWICE
    ),
    "concurrency.limit": Probe(2, Seen.most_runs, spec=LIMITED, **TWICE),
    "concurrency.on_limit": Probe("reject", lambda seen: len(seen.starts()), spec=LIMITED, **TWICE),
    "concurrency.scope": Probe("global", Seen.most_runs, spec=LIMITED, **TWICE),
    "spec.placement": Probe({"key": "k"}, on_one_engine, node=NOTHING, way=run_spread),
    "placement.balancer": Probe(
        "round-robin",
        in_turn,
        spec={"placement": {"balancer": "consistent-hash"}},
        node=NOTHING,
        way=run_spread,
    ),
    "placement.key": Probe(
        "k", on_one_engine, spec={"placement": {"key": "${run.id}"}}, node=NOTHING, way=run_spread
    ),
    "spec.handlers": Probe({"exit": HANDLER}, handlers),
    "handlers.success": Probe(HANDLER, handlers, spec={"handlers": {}}),
    "handlers.failure": Probe(HANDLER, handlers, spec={"handlers": {}}, node=FAILS),
    "handlers.cancelled": Probe(
        HANDLER,
        handlers,
        spec={"handlers": {}},
        node={"executor": CUT_OFF},
        way=cancelled_document,
    ),
    "handlers.exit": Probe(HANDLER, handlers, spec={"handlers": {}}),
    "handler.executor": Probe(
        shell("exit 3"), handler("error"), spec={"handlers": {"failure": HANDLER}}, node=FAILS
    ),
    "handler.inputs": Probe(
        {"a": 1},
        handler("outputs"),
        spec={"handlers": {"failure": {"executor": lua("return {a = inputs.a}")}}},
        node=FAILS,
    ),
    "handler.env": Probe(
        {"GREETING": "hello"}, said, spec={"handlers": {"failure": GREETS}}, node=FAILS
    ),
    "handler.timeout": Probe(
        0.1, handler("error"), spec={"handlers": {"failure": WAITS}}, node=FAILS
    ),
    "node.id": Probe("m", names),
    "node.executor": Probe(shell("exit 3"), last("status")),
    "executor.type": Probe("shell", last("status"), node={"executor": lua("return {}")}),
    "node.dependencies": Probe(
        ["first"],
        lambda seen: (
            seen.order().index(("node.running", "n"))
            < seen.order().index(("node.succeeded", "first"))
        ),
        first=WAITS,
    ),
    "node.inputs": Probe(
        {"a": 1}, last("outputs"), node={"executor": lua("return {a = inputs.a}")}
    ),
    "node.when": Probe("false", last("status")),
    "node.trigger_rule": Probe(
        "all_done", last("status"), first=FAILS, node={"dependencies": ["first"]}
    ),
    "node.allow_failure": Probe(True, result("status"), node=FAILS),
    "node.retry": Probe({"max_attempts": 2, "first_delay": 0}, last("attempts"), node=FAILS),
    "retry.max_attempts": Probe(2, last("attempts"), node={**FAILS, "retry": RETRIES}),
    "retry.first_delay": Probe(0.02, Seen.delays, node={**FAILS, "retry": RETRIES}),
    "retry.backoff": Probe(3, Seen.delays, node={**FAILS, "retry": RETRIES}),
    "retry.max_delay": Probe(0.02, Seen.delays, node={**FAILS, "retry": {**RETRIES, "backoff": 5}}),
    "retry.jitter": Probe(0.5, Seen.delays, node={**FAILS, "retry": RETRIES}),
    "retry.when": Probe("attempt < 2", last("attempts"), node={**FAILS, "retry": RETRIES}),
    "node.timeout": Probe(0.1, last("error"), node=WAITS),
    "node.kill_after": Probe(0.05, said, node={"executor": DEAF, "timeout": 0.5, "kill_after": 9}),
    "node.for_each": Probe([1, 2], last("items")),
    "node.max_parallel": Probe(1, Seen.most_at_once, node={**WAITS, **TWO}),
    "node.tolerate": Probe(
        1,
        last("status"),
        node={"executor": {"type": "shell", "command": "exit ${item_index}"}, **TWO},
    ),
    "node.on_engine_loss": Probe(
        "fail", last("error"), node={"executor": CUT_OFF}, way=cut_off_document
    ),
    "node.durability": Probe(
        "batched",
        last("outputs"),
        first={"executor": WAITS_TO_GO, "durability": "batched"},
        node={"executor": EARLY, "dependencies": ["first"]},
        way=run_without_disk,
    ),
    "node.env": Probe({"GREETING": "hello"}, said, node=GREETS),
    "node.secrets": Probe({"KEY": "env:PROBE"}, said, node=TELLS),
    "node.outputs": Probe(SCHEMA, last("error"), node=NOTHING),
    "node.metadata": Probe({"owner": "data"}, lambda seen: seen.stored.nodes[0].metadata),
    "lua.code": Probe("return {a = 1}", last("outputs"), node={"executor": lua("return {}")}),
    "lua.file": Probe(
        "b.lua", last("outputs"), node={"executor": {"type": "lua", "file": "a.lua"}}
    ),
    "lua.memory": Probe(
        2**20,
        last("error"),
        node={"executor": lua("local t = {} for i = 1, 300000 do t[i] = i end return {}")},
    ),
    "node.requires": Probe(
        {"labels": {"zone": "b"}}, Seen.engines, node=NOTHING, way=run_elsewhere
    ),
    "requires.labels": Probe({"zone": "b"}, Seen.engines, node=ASKS, way=run_elsewhere),
    "requires.resources": Probe({"gpus": 1}, Seen.engines, node=ASKS, way=run_elsewhere),
    "shell.command": Probe(
        "exit 3", last("error"), node={"executor": {"type": "shell", "command": "exit 0"}}
    ),
    "shell.code": Probe("exit 3", last("error")),
    "shell.env": Probe({"GREETING": "hello"}, said, node=GREETS),
    "shell.cwd": Probe(".", lambda seen: "/scratch/" in seen.log, node={"executor": shell("pwd")}),
    "shell.stdin": Probe("hello", said, node={"executor": shell("cat")}),
    "python.callable": Probe(
        "probed:two",
        last("outputs"),
        node={"executor": {"type": "python", "callable": "probed:one"}},
    ),
    "python.code": Probe(
        "outputs = {'n': 2}",
        last("outputs"),
        node={"executor": {"type": "python", "code": "outputs = {'n': 1}"}},
    ),
    "python.cwd": Probe(
        ".",
        lambda seen: "/scratch/" in seen.log,
        node={"executor": {"type": "python", "code": "import os; print(os.getcwd())"}},
    ),
    "python.isolation": Probe(
        "inline",
        lambda seen: seen.last.outputs["pid"] == os.getpid(),
        node={"executor": {"type": "python", "callable": "probed:where"}},
    ),
}

FILES = {
    "a.lua": "return {a = 1}",
    "b.lua": "return {b = 1}",
    "probed.py": """
import os

def one():
    return {"n": 1}

def two():
    return {"n": 2}

def where():
    return {"pid": os.getpid()}
""",
}


def keys():
    found = document_keys(ACT_LATER)
    for executor in REGISTRY.executors:
        if executor.name not in ELSEWHERE:
            found |= option_keys(REGISTRY, executor.name)
    return found


def test_every_key_that_acts_has_a_probe_and_no_other_has():
    assert set(PROBES) == set(keys())


def test_the_keys_that_act_later_are_those_of_the_reference():
    section = REFERENCE.read_text().split("## Keys without effect yet")[1].split("\n## ")[0]
    listed, owner = set(), ""
    for row in re.findall(r"^\| (.*?) \|", section, re.MULTILINE):
        for whose, word in re.findall(r"a (\w+)'s|`([\w.]+)`", row):
            owner = whose or owner
            listed |= {word if "." in word else f"{owner}.{word}"} if word else set()
    assert {key for key in listed if key.startswith(("spec.", "node."))} == ACT_LATER


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Seen]]:
    folder = tmp_path_factory.mktemp("probes")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    paths = {key: path for key, path in keys().items() if key in PROBES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGRUN_SECRET_PROBE", "a value that is masked")
        return observe(REGISTRY, Settings(data_dir=folder / "data", parallel=8), PROBES, paths)


@pytest.mark.parametrize("key", PROBES)
def test_changing_a_key_changes_what_is_seen(seen, key):
    before, after = seen[key]
    assert before.refused is None
    assert PROBES[key].sees(before) != PROBES[key].sees(after)

"""Each key of a document and each setting changes something that can be seen.

The keys come from the classes that documents are made of, so a key without a probe fails. A probe
is a document; the second one differs in that key only.
"""

import copy
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import pytest
import trio

from dagrun.domain.document.shape import Document
from dagrun.domain.workflow import ExecutorSpec
from dagrun.plugin.loading import load_plugins
from dagrun.ports.executor import Traits
from dagrun.roles.local import open_local
from dagrun.settings import Settings
from dagrun.testing.observe import Seen, cut_off_document, run_document, run_without_disk

REGISTRY = load_plugins().registry
REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"

ACT_LATER = {
    "node.outputs",
    "node.requires",
    "spec.concurrency",
    "spec.handlers",
    "spec.placement",
    "spec.priority",
    "spec.start_timeout",
    "spec.triggers",
}
"""Keys that have no effect yet, with all that is written below them. One that acts leaves this
list, and gets a probe for itself and for each key below it."""


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


@attrs.frozen
class Probe:
    """A document, and what a key in it is changed to."""

    value: Any
    sees: Callable[[Seen], Any]
    """Gives what has to differ."""

    node: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    """Keys of the last node, in which the keys of nodes and executors are changed."""

    first: Mapping[str, Any] | None = attrs.field(default=None, kw_only=True)
    """Another node, called ``first``."""

    spec: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    way: Callable[..., Awaitable[Seen]] = attrs.field(default=run_document, kw_only=True)

    def documents(self, path: Sequence[str | int]) -> list[dict[str, Any]]:
        nodes = [{"id": "first", **self.first}] if self.first else []
        nodes.append({"id": "n", "executor": shell("exit 0"), **self.node})
        document = {
            "apiVersion": "dagrun/v1",
            "kind": "Workflow",
            "metadata": {"id": "w", "version": "1.0.0"},
            "spec": {**self.spec, "nodes": nodes},
        }
        other: Any = copy.deepcopy(document)
        part = other
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = self.value
        return [document, other]


def shell(code: str, **options: Any) -> dict[str, Any]:
    return {"type": "shell", "code": code, **options}


def lua(code: str) -> dict[str, Any]:
    return {"type": "lua", "code": code}


FAILS = {"executor": shell("exit 1")}
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
    "spec.secrets": Probe({"KEY": "env:NOT_SET"}, last("error")),
    "spec.timeout": Probe(0.1, result("error"), node=WAITS),
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
    "node.secrets": Probe({"KEY": "env:NOT_SET"}, last("error")),
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


Steps = tuple[str | int, ...]
CALLED = {
    "Document": "",
    "RetryPolicy": "retry.",
    "Requirements": "requires.",
    "ExecutorSpec": "executor.",
}


def keys() -> dict[str, Steps]:
    """Give every key of a document that is to act, with the path to it in a probe's documents."""
    found = dict(reversed(list(below(Document, ()))))  # of two the first
    for executor in REGISTRY.executors:
        for field in attrs.fields(Traits.of(executor.factory).options):
            found[f"{executor.name}.{field.name}"] = ("spec", "nodes", -1, "executor", field.name)
    return found


def below(cls: type[Any], path: Steps) -> Iterator[tuple[str, Steps]]:
    """Give the keys of what a document holds at a path, and those below them."""
    hints = get_type_hints(cls)
    for name in ["type"] if cls is ExecutorSpec else hints:
        key = CALLED.get(cls.__name__, cls.__name__.lower() + ".") + name
        if key not in ACT_LATER:
            yield key, (*path, name)
            for inner, step in classes(hints[name]):
                yield from below(inner, (*path, name, *step))


def classes(hint: Any) -> Iterator[tuple[type[Any], Steps]]:
    """Give the classes of which a key's value is made, with the step that leads to one of them."""
    if attrs.has(hint):
        yield hint, ()
    for inner in get_args(hint):
        for cls, _ in classes(inner):
            yield cls, MEMBER.get(get_origin(hint), ())


MEMBER = {tuple: (-1,), Mapping: ("failure",)}


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


async def observe_all(folder: Path, files: Mapping[str, Sequence[Path]]) -> dict[str, list[Seen]]:
    """Run the documents of all probes, several at the same time."""
    found: dict[str, list[Seen]] = {}
    few = trio.CapacityLimiter(6)
    settings = Settings(data_dir=folder / "data", parallel=8)

    async def observe(key: str) -> None:
        async with few:
            with trio.fail_after(60):
                found[key] = [await see(key, file) for file in files[key]]

    async def see(key: str, file: Path) -> Seen:
        if (way := PROBES[key].way) is run_document:
            return await run_document(REGISTRY, settings, file, local=local)
        own = Settings(data_dir=file.with_suffix(".data"), parallel=8)
        return await way(REGISTRY, own, file)

    async with open_local(REGISTRY, settings) as local, trio.open_nursery() as nursery:
        for key in files:
            nursery.start_soon(observe, key)
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Seen]]:
    folder = tmp_path_factory.mktemp("probes")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    files: dict[str, list[Path]] = {}
    known = {key: path for key, path in keys().items() if key in PROBES}
    for number, (key, path) in enumerate(known.items()):
        files[key] = [folder / f"{number}-{letter}.yaml" for letter in "ab"]
        for file, document in zip(files[key], PROBES[key].documents(path), strict=True):
            file.write_text(json.dumps(document))
    return trio.run(observe_all, folder, files)


@pytest.mark.parametrize("key", PROBES)
def test_changing_a_key_changes_what_is_seen(seen, key):
    before, after = seen[key]
    assert before.refused is None
    assert PROBES[key].sees(before) != PROBES[key].sees(after)

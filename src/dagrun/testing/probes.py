"""Probes: two documents that differ in one key, and what has to differ in their runs.

For tests that show that each key of documents, or each option of an executor, does something. The
keys come from the classes that documents and options are made of, so one without a probe is found.
"""

import copy
import json
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import attrs
import trio

from dagrun.domain.document.shape import Document
from dagrun.domain.workflow import ExecutorSpec
from dagrun.plugin.registry import Registry
from dagrun.ports.executor import Traits
from dagrun.roles.local import Local, open_local
from dagrun.settings import Settings
from dagrun.testing.observe import Seen, run_document

AT_ONCE: Final = 6  # probes that are observed at the same time
LIMIT: Final = 60.0  # seconds that no probe comes near

Steps = tuple[str | int, ...]
"""The path to a key in a document."""


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
    """How the documents are run; one that is not ``run_document`` gets a data directory for each."""

    def documents(self, path: Steps) -> list[dict[str, Any]]:
        """Give the document as it is, and with the key at the path changed."""
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
    """Give what a document says of a ``shell`` node."""
    return {"type": "shell", "code": code, **options}


def lua(code: str) -> dict[str, Any]:
    """Give what a document says of a ``lua`` node."""
    return {"type": "lua", "code": code}


_CALLED: Final = {
    "Document": "",
    "RetryPolicy": "retry.",
    "Requirements": "requires.",
    "ExecutorSpec": "executor.",
    "BasicAuth": "auth.",
}
"""Class → what the names of its keys begin with, if it is not the class's own name."""

_NODE: Final = ("spec", "nodes", -1)
_MEMBER: Final[Mapping[Any, Steps]] = {tuple: (-1,), Mapping: ("failure",)}
"""Which member of a list or mapping stands for all: the last node, and one of the handlers."""


def document_keys(later: Collection[str] = ()) -> dict[str, Steps]:
    """Give every key of a document, with the path to it in a probe's documents.

    Args:
        later: keys to leave out, with all that is below them.
    """
    return dict(reversed(list(_below(Document, (), later))))  # of two the first


def option_keys(registry: Registry, executor: str) -> dict[str, Steps]:
    """Give every option of an executor, with the path to it in a probe's documents."""
    options: Any = Traits.of(registry.executors.get(executor)).options
    return dict(_below(options, (*_NODE, "executor"), (), called=f"{executor}."))


def _below(
    cls: type[Any], path: Steps, later: Collection[str], called: str | None = None
) -> Iterator[tuple[str, Steps]]:
    """Give the keys of what a document holds at a path, and those below them."""
    hints = get_type_hints(cls)
    if called is None:
        called = _CALLED.get(cls.__name__, cls.__name__.lower() + ".")
    for name in ["type"] if cls is ExecutorSpec else hints:
        if called + name not in later:
            yield called + name, (*path, name)
            for word in _words(hints[name]):
                yield f"{name}.{word}", (*path, name, word)
            for inner, step in _classes(hints[name]):
                yield from _below(inner, (*path, name, *step), later)


def _words(hint: Any) -> Iterator[str]:
    """Give the keys of a mapping that only knows a few."""
    if get_origin(hint) is Mapping and issubclass(get_args(hint)[0], StrEnum):
        yield from get_args(hint)[0]


def _classes(hint: Any) -> Iterator[tuple[type[Any], Steps]]:
    """Give the classes of which a key's value is made, with the step that leads to one of them."""
    if attrs.has(hint):
        yield hint, ()
    for inner in get_args(hint):
        for cls, _ in _classes(inner):
            yield cls, _MEMBER.get(get_origin(hint), ())


def observe(
    registry: Registry,
    settings: Settings,
    probes: Mapping[str, Probe],
    paths: Mapping[str, Steps],
    *,
    words: Mapping[str, str] | None = None,
) -> dict[str, list[Seen]]:
    """Run the two documents of each probe, and give what is seen of them.

    Args:
        registry: the plugins.
        settings: for all of them; the documents are written beside the data directory.
        probes: key → probe.
        paths: key → path to it.
        words: what is known only now, such as the port of a server: what stands for it in the
            documents → what it is.
    """
    folder = settings.data_dir.parent
    files = {key: [folder / f"{key}-{letter}.yaml" for letter in "ab"] for key in paths}
    for key, path in paths.items():
        for file, document in zip(files[key], probes[key].documents(path), strict=True):
            file.write_text(_with_words(json.dumps(document), words or {}))
    return trio.run(_observe_all, registry, settings, probes, files)


def _with_words(text: str, words: Mapping[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


async def _observe_all(
    registry: Registry,
    settings: Settings,
    probes: Mapping[str, Probe],
    files: Mapping[str, Sequence[Path]],
) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    few = trio.CapacityLimiter(AT_ONCE)

    async def see(key: str, local: Local) -> None:
        async with few:
            with trio.fail_after(LIMIT):
                way = probes[key].way
                found[key] = [await _see(way, registry, settings, f, local) for f in files[key]]

    async with open_local(registry, settings) as local, trio.open_nursery() as nursery:
        for key in files:
            nursery.start_soon(see, key, local)
    return found


async def _see(
    way: Callable[..., Awaitable[Seen]],
    registry: Registry,
    settings: Settings,
    file: Path,
    local: Local,
) -> Seen:
    if way is run_document:
        return await run_document(registry, settings, file, local=local)
    own = attrs.evolve(settings, data_dir=file.with_suffix(".data"))
    return await way(registry, own, file)

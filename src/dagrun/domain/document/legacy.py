"""Documents of the older format ``workflows/v1``, rewritten as ``dagrun/v1``.

===================================== ==========================================================
in the older document                 in the newer one
===================================== ==========================================================
``metadata.version: v1.2.3``          ``1.2.3``
a node's ``name``, ``description``    kept in its ``metadata``, which is free
a node's ``metadata.timeout``         ``timeout``: seconds of one attempt
a node's ``metadata.retries: 2``      ``retry: {max_attempts: 3}``; 0 is none
``executor.config: {…}``              its keys stand beside ``type``; in handlers, too
``triggers: {http: {…}, cron: {…}}``  a list; each trigger has its key as its type
``configuration.env``                 ``spec.env``
``configuration.secrets``             see :mod:`dagrun.domain.document.legacy_configuration`
``configuration.kubernetes``          the workflow's ``kubernetes``: kept for what runs it there
===================================== ==========================================================

What the format's users may have written in two places is taken from both: ``triggers`` and
``configuration`` in ``spec`` or at the root. All other keys mean what they mean in ``dagrun/v1``,
so ``retry`` or ``when`` may be used as well; one thing said twice is an error. Problems are told
with the key paths of the older document.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from dagrun.domain.document.legacy_configuration import read_configuration
from dagrun.domain.document.places import Finding, Path
from dagrun.domain.document.shape import CURRENT
from dagrun.domain.document.structure import shown

_MOVABLE: Final = ("triggers", "configuration")


@attrs.define
class Rewriting:
    """A rewritten document, and where its parts stood."""

    root: dict[str, Any] = attrs.field(factory=dict)
    kubernetes: dict[str, Any] = attrs.field(factory=dict)
    findings: list[Finding] = attrs.field(factory=list)
    """What is wrong with keys that only the older format has; paths are its own."""

    origins: dict[Path, Path] = attrs.field(factory=dict)
    """Path in the newer document → path in the older one, where they differ."""

    def complain(self, path: Path, message: str, *, on_key: bool = False) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(path=path, message=message, on_key=on_key))

    def back(self, finding: Finding) -> Finding:
        """Give a finding of the newer document as one of the older."""
        path = finding.path
        for length in range(len(path), 0, -1):
            origin = self.origins.get(path[:length])
            if origin is not None:
                return attrs.evolve(finding, path=(*origin, *path[length:]))
        return finding


def modernise(document: Mapping[str, Any]) -> Rewriting:
    """Rewrite a document whose ``apiVersion`` is ``workflows/v1``."""
    made = Rewriting(root={**document, "apiVersion": CURRENT})
    spec = document.get("spec")
    if not isinstance(spec, Mapping):
        return made
    spec = made.root["spec"] = dict(spec)
    places = {key: _take(made, spec, key) for key in _MOVABLE}
    _rewrite_version(made)
    _rewrite_nodes(made, spec)
    _rewrite_handlers(made, spec)
    _rewrite_triggers(made, spec, places["triggers"])
    _rewrite_configuration(made, spec, places["configuration"])
    return made


def _take(made: Rewriting, spec: dict[str, Any], key: str) -> Path:
    """Move what stands at the root into ``spec``. Give the path where it stood."""
    if key not in made.root:
        return ("spec", key)
    value = made.root.pop(key)
    if key in spec:
        made.complain((key,), f"{key} stands in spec, too", on_key=True)
        return ("spec", key)
    spec[key] = value
    return (key,)


def _rewrite_version(made: Rewriting) -> None:
    metadata = made.root.get("metadata")
    if isinstance(metadata, Mapping):
        version = metadata.get("version")
        if isinstance(version, str) and version[:1] in ("v", "V"):
            made.root["metadata"] = {**metadata, "version": version[1:]}


def _rewrite_nodes(made: Rewriting, spec: dict[str, Any]) -> None:
    if isinstance(spec.get("nodes"), list):
        spec["nodes"] = [
            _node(made, node, ("spec", "nodes", number)) if isinstance(node, Mapping) else node
            for number, node in enumerate(spec["nodes"])
        ]


def _node(made: Rewriting, node: Mapping[str, Any], path: Path) -> dict[str, Any]:
    new = dict(node)
    named = {key: new.pop(key) for key in ("name", "description") if key in new}
    metadata = new.get("metadata")
    if metadata is None or isinstance(metadata, Mapping):
        free = {**named, **(metadata or {})}
        for key in named.keys() & (metadata or {}).keys():
            place = (*path, "metadata", key)
            made.complain(place, f"{key} stands outside metadata, too", on_key=True)
        _lift_timeout(made, free, new, path)
        _lift_retries(made, free, new, path)
        new["metadata"] = free
    _flatten_executor(made, new, path)
    return new


def _rewrite_handlers(made: Rewriting, spec: dict[str, Any]) -> None:
    if not isinstance(spec.get("handlers"), Mapping):
        return
    handlers = spec["handlers"] = dict(spec["handlers"])
    for event, handler in handlers.items():
        if isinstance(handler, Mapping):
            handlers[event] = dict(handler)
            _flatten_executor(made, handlers[event], ("spec", "handlers", event))


def _lift_timeout(made: Rewriting, free: dict[str, Any], node: dict[str, Any], path: Path) -> None:
    if "timeout" not in free:
        return
    origin, timeout = (*path, "metadata", "timeout"), free.pop("timeout")
    if "timeout" in node:
        made.complain(origin, "timeout stands outside metadata, too", on_key=True)
        return
    node["timeout"] = timeout
    made.origins[*path, "timeout"] = origin


def _lift_retries(made: Rewriting, free: dict[str, Any], node: dict[str, Any], path: Path) -> None:
    if "retries" not in free:
        return
    origin, retries = (*path, "metadata", "retries"), free.pop("retries")
    if "retry" in node:
        made.complain(origin, "the node has a retry, too", on_key=True)
    elif isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        made.complain(origin, f"a whole number from 0 on is needed, not {shown(retries)}")
    elif retries:
        node["retry"] = {"max_attempts": retries + 1}
        made.origins[*path, "retry", "max_attempts"] = origin


def _flatten_executor(made: Rewriting, owner: dict[str, Any], path: Path) -> None:
    if isinstance(owner.get("executor"), Mapping):
        owner["executor"] = _executor(made, owner["executor"], (*path, "executor"))


def _executor(made: Rewriting, executor: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Put the keys of ``config`` beside ``type``."""
    rest = {key: value for key, value in executor.items() if key != "config"}
    config = executor.get("config")
    if config is None:
        return rest
    if not isinstance(config, Mapping):
        made.complain((*path, "config"), f"a mapping is needed, not {shown(config)}")
        return rest
    for key in config:
        if key in rest:
            made.complain((*path, "config", key), f"{key} stands outside config, too", on_key=True)
        else:
            made.origins[*path, key] = (*path, "config", key)
    return {**config, **rest}


def _rewrite_triggers(made: Rewriting, spec: dict[str, Any], origin: Path) -> None:
    made.origins["spec", "triggers"] = origin
    triggers = spec.get("triggers")
    if not isinstance(triggers, Mapping):
        return
    spec["triggers"] = []
    for kind, options in triggers.items():
        if options is not None and not isinstance(options, Mapping):
            made.complain((*origin, kind), f"a mapping is needed, not {shown(options)}")
            continue
        if options is not None and options.get("type", kind) != kind:
            made.complain((*origin, kind, "type"), f"the trigger is of the type {kind}")
        path = ("spec", "triggers", len(spec["triggers"]))
        made.origins[path] = made.origins[*path, "type"] = (*origin, kind)
        spec["triggers"].append({**(options or {}), "type": kind})


def _rewrite_configuration(made: Rewriting, spec: dict[str, Any], origin: Path) -> None:
    configuration = read_configuration(spec.pop("configuration", None), origin)
    made.findings += configuration.findings
    made.kubernetes = configuration.kubernetes
    for key in ("env", "secrets"):
        value = getattr(configuration, key)
        if value is None:
            continue
        if key in spec:
            made.complain((*origin, key), f"spec has {key}, too", on_key=True)
            continue
        spec[key] = value
        made.origins["spec", key] = (*origin, key)
    for name, place in configuration.places.items():
        made.origins["spec", "secrets", name] = place

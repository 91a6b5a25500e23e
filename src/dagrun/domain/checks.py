"""What must hold for a workflow, whether it came from a document or was built in Python.

A ``placement.key`` with a balancer that looks at no key would have no effect, and is an error;
the keys of nodes for which the same holds are listed in :mod:`dagrun.domain.check_nodes`.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from dagrun.domain.check_children import check_calling_handler
from dagrun.domain.check_code import check_code
from dagrun.domain.check_graph import References, check_graph, check_id
from dagrun.domain.check_nodes import check_nodes
from dagrun.domain.check_parts import (
    Findings,
    Site,
    check_env,
    check_executor,
    check_positive,
    check_range,
    check_schema,
    check_secrets,
    check_template,
    no_effect,
    unknown,
)
from dagrun.domain.document.catalogue import Catalogue, check_options
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Path, Spelling
from dagrun.domain.handlers import NAMES as HANDLER_NAMES
from dagrun.domain.schema import inputs_findings
from dagrun.domain.versions import completed, is_version
from dagrun.domain.workflow import Handler, Placement, Trigger, Workflow

MAX_PRIORITY: Final = 1_000_000
MAX_CONCURRENT: Final = 1_000_000

_RUN_NAMES: Final = ("inputs", "run", "env")


def check(
    workflow: Workflow, catalogue: Catalogue, *, unsure: Collection[str] = ()
) -> list[Finding]:
    """Give what is wrong, up to ``MAX_FINDINGS``, with key paths of a ``dagrun/v1`` document.

    Args:
        workflow: what to check.
        catalogue: what is installed.
        unsure: ids of nodes that may have more dependencies than are known.
    """
    spelling = Spelling([node.id for node in workflow.nodes])
    references = References(workflow, spelling, unsure)
    found = chain(
        _check_head(workflow, references),
        _check_placement(workflow, references, catalogue),
        check_graph(workflow.nodes, spelling),
        check_nodes(workflow, references, catalogue),
        _check_triggers(workflow.triggers, catalogue),
        _check_handlers(workflow.handlers, workflow.secrets, references, catalogue),
        references.finish(),
    )
    return list(islice(found, MAX_FINDINGS))


def _check_head(workflow: Workflow, references: References) -> Findings:
    yield from check_id(workflow.id, ("metadata", "id"))
    if not is_version(workflow.version):
        message = f"{workflow.version[:60]!r} is no semantic version, such as 1.0.0"
        meant = completed(workflow.version)
        yield Finding(path=("metadata", "version"), message=message, suggestion=meant)
    spec: Path = ("spec",)
    yield from check_schema(workflow.inputs, (*spec, "inputs"), extra=inputs_findings)
    at_end = Site(references, ("nodes", *_RUN_NAMES))
    yield from check_template(dict(workflow.outputs), (*spec, "outputs"), at_end)
    yield from check_env(workflow.env, (*spec, "env"), Site(references, ("inputs", "run")))
    yield from check_secrets(workflow.secrets, (*spec, "secrets"))
    yield from check_positive(workflow.timeout, (*spec, "timeout"))
    yield from check_positive(workflow.start_timeout, (*spec, "start_timeout"))
    yield from check_range(workflow.priority, -MAX_PRIORITY, MAX_PRIORITY, (*spec, "priority"))


def _check_placement(workflow: Workflow, references: References, catalogue: Catalogue) -> Findings:
    concurrency, placement = workflow.concurrency, workflow.placement
    site, path = Site(references, _RUN_NAMES), ("spec", "placement")
    if concurrency is not None:
        place = ("spec", "concurrency")
        yield from check_range(concurrency.limit, 1, MAX_CONCURRENT, (*place, "limit"))
        yield from check_template(concurrency.key, (*place, "key"), site)
    yield from check_template(placement.key, (*path, "key"), site)
    yield from _check_balancer(placement, path, catalogue.balancers)


def _check_balancer(placement: Placement, path: Path, known: Mapping[str, bool] | None) -> Findings:
    name = placement.balancer
    if name is None or known is None:
        return
    if name not in known:
        yield unknown(name, (*path, "balancer"), "balancer", known)
    elif placement.key is not None and not known[name]:
        yield no_effect((*path, "key"), f"the balancer {name} looks at no key")


def _check_triggers(triggers: Sequence[Trigger], catalogue: Catalogue) -> Findings:
    counts = Counter(trigger.id for trigger in triggers if trigger.id)
    for number, trigger in enumerate(triggers):
        path: Path = ("spec", "triggers", number)
        if trigger.id:
            yield from check_id(trigger.id, (*path, "id"))
        if counts[trigger.id] > 1:
            message = f"{trigger.id!r} is the id of {counts[trigger.id]} triggers"
            yield Finding(path=(*path, "id"), message=message)
        yield from _check_trigger(trigger, path, catalogue)


def _check_trigger(trigger: Trigger, path: Path, catalogue: Catalogue) -> Findings:
    info = catalogue.triggers.get(trigger.type)
    if info is None:
        yield unknown(trigger.type, (*path, "type"), "trigger", catalogue.triggers)
        return
    findings = check_options(info.options, trigger.options, path)
    yield from findings
    if not findings and info.check is not None:
        for option, message in info.check(trigger.options).items():
            yield Finding(path=(*path, option), message=message)


def _check_handlers(
    handlers: Mapping[Any, Handler],
    secrets: Mapping[str, str],
    references: References,
    catalogue: Catalogue,
) -> Findings:
    site = Site(references, HANDLER_NAMES, ended=True)
    for event, handler in handlers.items():
        path: Path = ("spec", "handlers", str(event))
        yield from check_executor(handler.executor, (*path, "executor"), site, catalogue, secrets)
        yield from check_calling_handler(handler, path)
        yield from check_code(handler.executor, (*path, "executor"), site, catalogue, ())
        yield from check_template(handler.inputs, (*path, "inputs"), site)
        yield from check_env(handler.env, (*path, "env"), site)
        yield from check_positive(handler.timeout, (*path, "timeout"))

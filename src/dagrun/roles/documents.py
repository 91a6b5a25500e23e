"""Read workflow documents, and the files that workflows name."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from dagrun.domain.document.built import check_workflow
from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, TriggerInfo
from dagrun.domain.document.composer import MAX_BYTES, MarkedDict
from dagrun.domain.document.files import inline_files, relative_programs, unreadable
from dagrun.domain.document.loader import load_document
from dagrun.domain.document.places import Finding
from dagrun.domain.document.sending import ToSend, files_named
from dagrun.domain.workflow import ExecutorSpec, Handler, Node, Workflow
from dagrun.errors import DefinitionError, Problem
from dagrun.plugin.registry import Registry
from dagrun.ports.executor import Traits
from dagrun.ports.management import Registered, WorkflowManagement


def catalogue(registry: Registry) -> Catalogue:
    """Give what the loader must know of the installed plugins."""
    traits = {entry.name: Traits.of(entry.factory) for entry in registry.executors}
    triggers = {entry.name: entry.factory for entry in registry.triggers}
    return Catalogue(
        executors={
            name: ExecutorKind(
                options=known.options,
                literal_options=known.literal_options,
                secret_options=known.secret_options,
                files=known.files,
                unfilled=known.unfilled,
            )
            for name, known in traits.items()
        },
        triggers={
            "http": TriggerInfo(options=HTTP_TRIGGER),
            **{
                name: TriggerInfo(options=getattr(kind, "options", None), check=kind().check)
                for name, kind in triggers.items()
            },
        },
        balancers={
            entry.name: getattr(entry.factory, "uses_key", True) for entry in registry.balancers
        },
    )


NOT_SENT = "it was not sent with the document"

HTTP_TRIGGER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "pattern": "^/"},
        "method": {"enum": ["GET", "POST", "PUT"]},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "timeout_seconds": {"type": "number", "exclusiveMinimum": 0},
        "inputs": {"type": "object"},
    },
}
"""Options of the trigger ``http`` while no plugin for it is installed; ``run`` ignores triggers."""


def complete(workflow: Workflow, base: Path, known: Catalogue) -> Workflow:
    """Give a workflow that was built in Python with the files that it names.

    Their text is part of a version from then on, as with a document.

    Raises:
        DefinitionError: it is wrong, or a file cannot be read.
    """
    if not _is_sound(workflow):
        raise DefinitionError(check_workflow(workflow, known))
    whole, missing = inline_files(workflow, base, _read_text, known)
    problems = [finding.locate(None, None) for finding in missing]
    if problems := problems + check_workflow(whole, known):
        raise DefinitionError(problems)
    return whole


def _is_sound(workflow: Workflow) -> bool:
    """Whether it is made of what it should be made of, as far as files are named there."""
    parts: Any = (*workflow.nodes, *workflow.handlers.values())
    return all(
        isinstance(part, Node | Handler) and isinstance(part.executor, ExecutorSpec)
        for part in parts
    )


def load_text(text: str, known: Catalogue) -> Workflow:
    """Load a document that lies nowhere. It may name no files beside it.

    Raises:
        DefinitionError: it is wrong.
    """
    return load_document(
        text,
        file=None,
        catalogue=known,
        complete=lambda workflow: inline_files(workflow, Path(), _read_anywhere, known),
    )


def load_sent(document: bytes | MarkedDict, files: Mapping[str, str], known: Catalogue) -> Workflow:
    """Load a document that somebody sent, with the files that it names. Nothing is read here.

    Args:
        document: YAML or JSON, or what was composed of it.
        files: name, as the document writes it → text.
        known: what it may name.

    Raises:
        DefinitionError: it is wrong, a file is missing, or it names a program that would be looked
            for beside it.
    """
    sent = {str(Path(name)): text for name, text in files.items()}

    def read(name: str) -> str:
        if name not in sent:
            raise ValueError(NOT_SENT)
        return _text(sent[name].encode())

    def whole(workflow: Workflow) -> tuple[Workflow, list[Finding]]:
        workflow, missing = inline_files(workflow, Path(), read, known)
        return workflow, [*missing, *relative_programs(workflow)]

    return load_document(document, file=None, catalogue=known, complete=whole)


def read_to_send(file: Path) -> ToSend:
    """Read a document, and the files whose contents belong to it, to be registered elsewhere.

    Raises:
        DefinitionError: it cannot be read.
    """
    document, base = _read_document(file), file.absolute().parent
    named, files, unread = files_named(document), {}, {}
    for name in named:
        try:
            files[name] = _read_text(str(base / name))
        except (OSError, ValueError) as error:  # who registers it may have no use for it
            unread[str(Path(name))] = unreadable(str(base / name), error)
    return ToSend(document=document, files=files, named=named, unread=unread)


async def register_read(
    workflows: WorkflowManagement,
    file: Path,
    read: ToSend,
    *,
    metadata: Mapping[str, Any] | None = None,
) -> Registered:
    """Register a document that was read.

    Raises:
        DefinitionError: it is wrong; the problems name the file.
        ConflictError: the version is there with another content.
    """
    try:
        return await workflows.register(read.document, files=read.files, metadata=metadata)
    except DefinitionError as error:
        why = {unreadable(name, ValueError(NOT_SENT)): why for name, why in read.unread.items()}
        problems = [
            attrs.evolve(one, file=str(file), message=why.get(one.message, one.message))
            for one in error.problems
        ]
        raise DefinitionError(problems) from error


def load_file(file: Path, known: Catalogue) -> Workflow:
    """Load a document with the files that it names.

    Raises:
        DefinitionError: it is missing or wrong.
    """
    text, base = _read_document(file), file.absolute().parent
    with _without_collections():
        return load_document(
            text,
            file=str(file),
            catalogue=known,
            complete=lambda workflow: inline_files(workflow, base, _read_text, known),
        )


def _read_document(file: Path) -> bytes:
    try:
        return _read(file)
    except OSError as error:
        message = f"it cannot be read: {error.strerror or error}"
        raise DefinitionError([Problem(message=message, file=str(file))]) from error


def _read_anywhere(name: str) -> str:
    if not Path(name).is_absolute():
        raise ValueError("the document is a text, and lies beside nothing")
    return _read_text(name)


def _read_text(name: str) -> str:
    return _text(_read(Path(name)))


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return data.decode()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let the garbage collector rest: it finds nothing here, and costs a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _read(file: Path) -> bytes:
    """Read a file, one byte more than may be there at most."""
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)

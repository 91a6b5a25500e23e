"""Every error that dagrun raises on purpose, named after the person who must act.

::

    DagrunError
    ├── DefinitionError    the workflow is wrong; its author edits it
    ├── InputError         the caller's inputs do not fit the workflow
    ├── ConfigError        flags, settings or the installation are wrong; the operator edits
    │   ├── UnknownPlugin      nothing of that name is installed
    │   └── PluginConflict     two plugins want one name, or a hook is misspelt
    ├── NotFound           there is no such run or workflow
    │   └── NoSuchRun          there is no such run
    ├── RunFailed          a run did not succeed, and its caller wants to know
    ├── ConflictError      the state of a run forbids what was asked
    │   ├── RunOwned           another live process executes the run
    │   ├── RunHasEnded        nobody executes the run any more
    │   ├── StillNeeded        registered workflows call what was to be deleted
    │   ├── LimitReached       the concurrency limit has no room for the run
    │   └── QueueFull          too many runs wait already
    ├── StoreError         the database cannot be used; the operator acts
    │   ├── StoreFull          no room on the disk; may work again later
    │   ├── StoreBusy          another process holds the database; may work again later
    │   ├── StoreCorrupt       the file is damaged, or is no database of dagrun
    │   └── StoreTooNew        a newer dagrun wrote the file
    ├── SecretError        a secret cannot be had; the operator provides it
    ├── AccessError        the caller may not do this
    │   ├── NotAuthenticated   a token is needed that is accepted
    │   └── NotAllowed         the token's role is another one
    ├── RemoteError        another process is unwell; a retry may help
    │   ├── Unreachable        the server does not answer
    │   ├── WorkerDied         a worker or the guard ended unexpectedly
    │   └── ChannelLost        the stream to another process has ended, or never came to be
    ├── HostTrouble        this machine cannot prepare an attempt; that waits
    └── NodeError          a node failed; its retry policy decides
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

import attrs


class DagrunError(Exception):
    """The root of all errors that dagrun raises on purpose."""

    code: ClassVar[str] = "error"
    """The word that stands for this error in JSON, as ``error.type``."""


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong in a document or in inputs."""

    message: str
    """One sentence for the author, without the place."""

    path: str = ""
    """The key path, such as ``spec.nodes[3].retry.backoff``; empty for the whole document."""

    file: str | None = None
    """The file's name as the caller gave it, or None for a document without one."""

    line: int | None = None
    """Line, counted from 1."""

    column: int | None = None
    """Column in characters, counted from 1."""

    suggestion: str | None = None
    """The nearest known word, or what to write instead."""

    def __str__(self) -> str:
        """Give ``file:line:column: path: message``, leaving out what is not known.

        >>> print(Problem(message="it is no list", path="spec.nodes", file="w.yaml", line=5))
        w.yaml:5:1: spec.nodes: it is no list
        """
        place = [self.file] if self.file else []
        if self.line is not None:
            place += [str(self.line), str(self.column or 1)]
        head = ":".join(place) + ": " if place else ""
        path = f"{self.path}: " if self.path else ""
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{head}{path}{self.message}{hint}"


class _ProblemsError(DagrunError):
    """An error that lists everything that is wrong, not only the first thing."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DefinitionError(_ProblemsError):
    """The workflow is wrong; its author edits it. ``problems`` holds all that was found."""

    code = "definition"


class InputError(_ProblemsError):
    """The caller's inputs do not fit the schema of the workflow."""

    code = "inputs"


class ConfigError(DagrunError):
    """Flags, settings or the installation are wrong; the operator edits."""

    code = "configuration"


class UnknownPlugin(ConfigError):
    """Nothing of that name is installed."""

    code = "unknown_plugin"

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(
            f"no {kind} is called {name!r}; installed: {', '.join(self.known) or 'none'}"
        )


class PluginConflict(ConfigError):
    """Two plugins want one name, or an implementation matches no hook."""

    code = "plugin_conflict"


class NotFound(DagrunError):
    """There is no such run or workflow."""

    code = "not_found"


class NoSuchRun(NotFound):
    """There is no such run, or not where it was looked for."""

    def __init__(self, run_id: str, place: object = None) -> None:
        super().__init__(f"there is no run {run_id!r}{'' if place is None else f' in {place}'}")
        self.run_id = run_id


class RunFailed(DagrunError):
    """A run has not succeeded, or not yet. ``result`` says how it went."""

    code = "run_failed"

    def __init__(self, run_id: str, status: str, message: str | None, result: object) -> None:
        self.run_id, self.status, self.result = run_id, status, result
        has = "has" if status in ("succeeded", "failed") else "is"
        super().__init__(f"run {run_id} {has} {status}" + (f": {message}" if message else ""))


class ConflictError(DagrunError):
    """The state of a run forbids what was asked."""

    code = "conflict"


class RunOwned(ConflictError):
    """Another live process executes the run."""

    code = "run_owned"

    def __init__(self, run_id: str, pid: int | None) -> None:
        self.run_id, self.pid = run_id, pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"run {run_id} is being executed by {who}")


class RunHasEnded(ConflictError):
    """Nobody executes the run any more."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"run {run_id} has ended")


class StillNeeded(ConflictError):
    """Registered workflows call what was to be deleted. ``dependents`` names them and their versions."""

    code = "still_needed"

    def __init__(self, what: str, dependents: Sequence[str]) -> None:
        self.dependents = list(dependents)
        super().__init__(
            f"{what} is needed by {', '.join(dependents)}; force deletes it all the same"
        )


class LimitReached(ConflictError):
    """The concurrency limit has no room for the run, and it must not wait."""

    code = "limit_reached"

    def __init__(self, workflow_id: str, key: str, limit: int) -> None:
        self.workflow_id, self.key, self.limit = workflow_id, key, limit
        runs, go = ("1 run", "goes") if limit == 1 else (f"{limit} runs", "go")
        super().__init__(f"{workflow_id}: {runs} with the concurrency key {key!r} {go} on already")


class QueueFull(ConflictError):
    """Too many runs wait already for an engine. It may work again later."""

    code = "queue_full"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} runs wait already, and more may not; try again later")


class StoreError(DagrunError):
    """The database cannot be used; the operator acts."""

    code = "store"


class StoreFull(StoreError):
    """There is no room for a commit. Nothing of it was written; it may work again later."""

    code = "store_full"


class StoreBusy(StoreError):
    """Another process holds the database. Nothing was written; it may work again later."""

    code = "store_busy"


class StoreCorrupt(StoreError):
    """The file is damaged, or is no database of dagrun."""

    code = "store_corrupt"


class StoreTooNew(StoreError):
    """A newer dagrun wrote the file."""

    code = "store_too_new"


class SecretError(DagrunError):
    """A secret cannot be had; the operator provides it. The message never holds the value."""

    code = "secret"


class AccessError(DagrunError):
    """The caller may not do this."""

    code = "access"


class NotAuthenticated(AccessError):
    """A token is needed, and none that is accepted was shown."""

    code = "not_authenticated"


class NotAllowed(AccessError):
    """The token's role may not do this. ``held`` is that role; None where nobody said it."""

    code = "not_allowed"
    held: str | None = None

    @classmethod
    def for_want_of(cls, needed: str, held: str) -> Self:
        """Make one that names the role that is needed, and the one that the token has."""
        error = cls(f"this needs the role {needed}, and the token's is {held}")
        error.held = held
        return error


class RemoteError(DagrunError):
    """Another process is unwell; a retry may help."""

    code = "remote"


class Unreachable(RemoteError):
    """The server does not answer, or breaks off."""

    code = "unreachable"


class WorkerDied(RemoteError):
    """A worker or the guard ended unexpectedly."""

    code = "worker_died"


class ChannelLost(RemoteError):
    """The stream between an engine and an orchestrator has ended, or never came to be."""

    code = "channel_lost"


class HostTrouble(DagrunError):
    """This machine lacks room, files or a folder for an attempt, of which nothing has started.

    An executor that raises it, or lets it through, must have done nothing yet. The engine makes the
    same attempt again, when there is room, and counts no failure.
    """


class NodeError(DagrunError):
    """A node failed. ``type`` and the message are journaled as the node's error.

    An executor raises it to choose the type; any other exception out of an executor is
    journaled with the exception's class name as its type. ``retryable`` is False when another
    attempt would fail in the same way.

    ``quote`` is what somebody else says of it, such as a server, just as it came: the values of
    secrets are found only in a text that was neither cut nor otherwise changed. The engine hides
    them, and then adds the beginning of it to the message, in one line.
    """

    code = "node"

    def __init__(
        self,
        type: str,  # noqa: A002 — the journal's word
        message: str,
        *,
        retryable: bool = True,
        quote: str = "",
    ) -> None:
        self.type, self.message, self.retryable, self.quote = type, message, retryable, quote
        super().__init__(message)


@contextmanager
def as_one_loss() -> Iterator[None]:
    """Raise one :exc:`ChannelLost` when several tasks of a block lost the same stream."""
    try:
        yield
    except BaseExceptionGroup as group:
        _, rest = group.split(ChannelLost)
        if rest is not None:
            raise
        while isinstance(group.exceptions[0], BaseExceptionGroup):
            group = group.exceptions[0]
        raise group.exceptions[0] from None


def sole(error: BaseException) -> BaseException:
    """Give what an exception group holds, if it is one thing only; otherwise the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

"""What carries out a node."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from dagrun.domain.jsonvalue import Raw
from dagrun.domain.workflow import JSON, Durability
from dagrun.ports.children import Children
from dagrun.ports.processes import Processes

TAIL: Final = 2048
"""Bytes of a log's end that :meth:`NodeLog.tail` gives."""


class NodeLog(Protocol):
    """The log of one attempt. Beyond its size cap the rest is dropped behind a marker."""

    def write(self, data: bytes) -> None:
        """Append bytes as they came. Does not fail and hardly blocks (a local file)."""
        ...

    def tail(self) -> bytes:
        """Give the end of what was written, at most TAIL bytes, for an error that quotes it.

        The values of secrets are hidden in it, as in the log. It is empty when that would mean to
        search what the log has no room for.
        """
        ...


class Context(Protocol):
    """What one attempt of a node or item is given."""

    @property
    def run_id(self) -> str:
        """Id of the run."""
        ...

    @property
    def workflow_id(self) -> str:
        """Id of the workflow."""
        ...

    @property
    def version(self) -> str:
        """The workflow's version."""
        ...

    @property
    def node_id(self) -> str:
        """Id of the node; of a handler ``handler:failure`` and so on."""
        ...

    @property
    def item_index(self) -> int | None:
        """Index of the ``for_each`` item, from 0; None when the node has no ``for_each``."""
        ...

    @property
    def item(self) -> JSON:
        """The ``for_each`` item, or None."""
        ...

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        ...

    @property
    def epoch(self) -> int:
        """Hand-over of the run under which the attempt runs, from 1."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this node and item, whichever engine makes it."""
        ...

    @property
    def options(self) -> Any:
        """The executor's options with all ``${…}`` filled in.

        An instance of the executor's attrs class, or a mapping when it gives a JSON Schema.
        """
        ...

    @property
    def inputs(self) -> Mapping[str, JSON]:
        """The node's inputs, or the run's when the node names none. A new copy each time.

        Raises:
            NodeError: they are too large (type ``inputs``), here and in the next.
        """
        ...

    @property
    def raw_inputs(self) -> Raw:
        """The same as JSON text, for executors that pass it on."""
        ...

    @property
    def nodes(self) -> Mapping[str, JSON]:
        """Id → outputs of each direct dependency; None for one that did not succeed.

        A handler is given those of all nodes.
        """
        ...

    @property
    def raw_nodes(self) -> Mapping[str, Raw]:
        """The same as JSON text, for executors that pass it on."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """What the document says under ``env``, the node's own on top, and ``DAGRUN_…``."""
        ...

    @property
    def secrets(self) -> Mapping[str, str]:
        """Name → value of the secrets that the document names for the node.

        The engine hides the values in the log, in what is raised and in the outputs, each as a
        whole: do not cut a text that may hold one.
        """
        ...

    @property
    def run(self) -> Mapping[str, JSON]:
        """What code sees as ``run``: ids, version, attempt, epoch, idempotency key.

        A handler is given ``status`` and ``error``, too.
        """
        ...

    @property
    def log(self) -> NodeLog:
        """The log of this attempt."""
        ...

    @property
    def scratch(self) -> Path:
        """The run's directory, made when it is not there and removed after the run.

        Raises:
            HostTrouble: it cannot be made now. Ask for it before the work begins, and let this
                through: the engine makes the same attempt again when there is room.
        """
        ...

    @property
    def base(self) -> Path | None:
        """The folder of the workflow's document, if it came from a file."""
        ...

    @property
    def timeout(self) -> float | None:
        """Seconds that the attempt may take. The engine enforces it by cancelling."""
        ...

    @property
    def kill_after(self) -> float:
        """Seconds between SIGTERM and SIGKILL when the attempt is cancelled."""
        ...

    @property
    def processes(self) -> Processes:
        """Starts child processes that end with the engine at the latest."""
        ...

    @property
    def children(self) -> Children:
        """Starts runs of other workflows for the node.

        Raises:
            NodeError: this program cannot (type ``workflow``).
        """
        ...


def attempt_env(context: Context) -> dict[str, str]:
    """Give the variables in which a program finds what attempt it is."""
    return {
        "DAGRUN_RUN_ID": context.run_id,
        "DAGRUN_NODE_ID": context.node_id,
        "DAGRUN_ATTEMPT": str(context.attempt),
        "DAGRUN_EPOCH": str(context.epoch),
        "DAGRUN_IDEMPOTENCY_KEY": context.idempotency_key,
    }


def attempt_facts(context: Context) -> dict[str, JSON]:
    """Give what code finds of its attempt in ``run``."""
    return {
        "node_id": context.node_id,
        "attempt": context.attempt,
        "epoch": context.epoch,
        "idempotency_key": context.idempotency_key,
    }


@attrs.frozen(kw_only=True)
class Suspended:
    """What an executor gives in place of outputs: they will be those of a child run.

    The attempt takes no place any more. It ends when the child does.
    """

    child: str
    """Id of the run, from :attr:`Context.children`, that was started with ``wait``."""

    version: str
    """Version of its workflow."""


class Executor(Protocol):
    """Carries out nodes. One object serves all nodes of an engine at once.

    The class may say more about itself, see :class:`Traits`. If it has ``__aenter__`` and
    ``__aexit__``, the engine enters it before the first node and leaves it after the last.
    """

    async def execute(self, context: Context) -> Mapping[str, JSON] | Raw | Suspended:
        """Do the work and give the outputs: an object of JSON values, or its checked text.

        Or say for the end of which run the node is to wait.

        Cancelling the call must stop the work and leave no process behind.

        Raises:
            NodeError: the work failed; its type and message are journaled.
            HostTrouble: the work could not begin, for want of room, files or a folder on the engine's
                machine; it is no failure, and the same attempt is made again.
            Exception: the same, journaled under the class name.
        """
        ...


@attrs.frozen(kw_only=True)
class Traits:
    """What an executor's class says about itself, through class attributes of these names."""

    options: type[Any] | Mapping[str, JSON] | None = None
    """An attrs class or a JSON Schema of the options; None takes any."""

    durability: Durability = Durability.STRICT
    """Default of a node's ``durability``."""

    uses_process: bool | Callable[[Any], bool] = False
    """Whether a node occupies a process while it runs, so that ``DAGRUN_PARALLEL`` counts it.

    A function decides by the node's options.
    """

    literal_options: frozenset[str] = frozenset({"code", "file"})
    """Options in which ``${…}`` means nothing to dagrun."""

    secret_options: frozenset[str] = frozenset()
    """Options in which ``$secret{NAME}`` may stand for the value of a secret.

    Name none that others get to see, such as the arguments of a program.
    """

    files: Mapping[str, str] = attrs.field(factory=dict)
    """Options that name a file beside the document → options that take what it holds.

    The text takes the name's place when the document is loaded, and is stored with it. Paths in
    other options belong to the executor; they are relative to :attr:`Context.base`.
    """

    unfilled: Callable[[str], Iterable[str]] | None = None
    """Finds the ``${…}`` in the text of a literal option that its language makes nothing of.

    Those that look like expressions of dagrun are then told as errors, since whoever wrote them
    expects them to be filled in.
    """

    settings: tuple[str, ...] = ()
    """Settings that the factory takes, as keyword arguments of these names."""

    @classmethod
    def of(cls, factory: Any) -> "Traits":
        """Read the class attributes of an executor's factory."""
        names = attrs.fields_dict(cls)
        return cls(**{name: getattr(factory, name) for name in names if hasattr(factory, name)})

"""What an attempt is given; most of it is made only when the executor asks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from dagrun.domain import scope
from dagrun.domain.jsonvalue import NotJson, Raw, decode
from dagrun.domain.state import Outcome, RunState, Work
from dagrun.errors import NodeError
from dagrun.ports.children import Children
from dagrun.ports.executor import NodeLog, attempt_env, attempt_facts
from dagrun.ports.processes import Processes


class AttemptLog(NodeLog, Protocol):
    """A log that is closed when the attempt ends."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class AttemptContext:
    """One attempt's :class:`~dagrun.ports.executor.Context`.

    Args:
        state: the run.
        work: the node or item.
        options: the executor's options, filled in and structured.
        secrets: name → value.
        processes: starts child processes.
        children: starts child runs; None where nobody does.
        open_log: gives the attempt's log.
        scratch: gives the run's directory.
    """

    def __init__(
        self,
        state: RunState,
        work: Work,
        *,
        options: Any,
        secrets: Mapping[str, str],
        processes: Processes,
        children: Children | None,
        open_log: Callable[[], AttemptLog],
        scratch: Callable[[], Path],
    ) -> None:
        self._state, self._work = state, work
        self._open_log, self._scratch, self._children = open_log, scratch, children
        self._log: AttemptLog | None = None
        self.options = options
        self.secrets = secrets
        self.processes = processes
        self.run_id: str = state.run_id
        self.attempt = work.attempt
        self.epoch = work.epoch
        self.item_index = work.index

    def close(self) -> None:
        """Close what was opened for the attempt."""
        if self._log is not None:
            self._log.close()

    @property
    def workflow_id(self) -> str:
        """Id of the workflow."""
        return self._state.plan.workflow.id

    @property
    def version(self) -> str:
        """The workflow's version."""
        return self._state.plan.workflow.version

    @property
    def node_id(self) -> str:
        """Id of the node."""
        return self._work.node.step.node.id

    @property
    def item(self) -> Any:
        """The ``for_each`` item, or None."""
        values = self._work.node.values
        return None if values is None or self.item_index is None else values[self.item_index]

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt, whichever engine makes it."""
        key = f"{self.run_id}/{self.node_id}"
        return key if self.item_index is None else f"{key}/{self.item_index}"

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The node's inputs, or the run's when the node names none. A new copy each time."""
        inputs: Mapping[str, Any] = decode(self.raw_inputs)
        return inputs

    @property
    def raw_inputs(self) -> Raw:
        """The same as JSON text."""
        try:
            return scope.raw_inputs(self._state, self._work)
        except NotJson as error:
            message = f"the inputs are refused: {error}"
            raise NodeError("inputs", message, retryable=False) from error

    @property
    def nodes(self) -> Mapping[str, Any]:
        """Id → outputs of each direct dependency; None for one that did not succeed."""
        return {node_id: decode(raw) for node_id, raw in self.raw_nodes.items()}

    @property
    def raw_nodes(self) -> Mapping[str, Raw]:
        """The same as JSON text."""
        return scope.direct_outputs(self._state, self._work)

    @property
    def env(self) -> Mapping[str, str]:
        """What the document says under ``env``, the node's own on top, and ``DAGRUN_…``."""
        outcome = self._state.outcome
        return {
            **scope.node_env(self._state, self._work),
            **({} if outcome is None else _outcome_env(outcome)),
            **attempt_env(self),
        }

    @property
    def run(self) -> Mapping[str, Any]:
        """What node code sees as ``run``."""
        return {**scope.run_facts(self._state), **attempt_facts(self)}

    @property
    def log(self) -> NodeLog:
        """The log of this attempt."""
        if self._log is None:
            self._log = self._open_log()
        return self._log

    @property
    def scratch(self) -> Path:
        """The run's directory, made when it is not there and removed after the run."""
        return self._scratch()

    @property
    def children(self) -> Children:
        """Starts child runs."""
        if self._children is None:
            raise NodeError("workflow", "this program cannot start child runs", retryable=False)
        return self._children

    @property
    def base(self) -> Path | None:
        """The folder of the workflow's document, if it came from a file."""
        return Path(self._state.base) if self._state.base else None

    @property
    def timeout(self) -> float | None:
        """Seconds that the attempt may take."""
        return self._work.node.step.node.timeout

    @property
    def kill_after(self) -> float:
        """Seconds between SIGTERM and SIGKILL when the attempt is cancelled."""
        return self._work.node.step.node.kill_after


def _outcome_env(outcome: Outcome) -> Mapping[str, str]:
    """Tell a handler's program what the run comes to."""
    error = outcome.error or {}
    return {
        "DAGRUN_RUN_STATUS": str(outcome.status),
        "DAGRUN_RUN_ERROR": error.get("message", "").replace("\0", "\N{REPLACEMENT CHARACTER}"),
        "DAGRUN_RUN_ERROR_TYPE": error.get("type", "").replace("\0", "\N{REPLACEMENT CHARACTER}"),
    }

"""How an engine is, as the wire says it."""

from datetime import UTC, datetime
from typing import Final

from dagrun.domain.ids import RunId
from dagrun.errors import InputError, Problem
from dagrun.ports import engine as states
from dagrun.ports.engine import EngineReport, Offers, ReportSeen
from dagrun_grpc.wire.dagrun import v1

STATES: Final = {
    states.IDLE: v1.EngineStatusState.IDLE,
    states.RUNNING: v1.EngineStatusState.RUNNING,
    states.DRAINING: v1.EngineStatusState.DRAINING,
    states.UNHEALTHY: v1.EngineStatusState.UNHEALTHY,
}
_WORDS: Final = {state: word for word, state in STATES.items()}


def status_out(report: EngineReport) -> v1.EngineStatus:
    """Write down how an engine is, now."""
    return v1.EngineStatus(
        engine_id=report.engine_id,
        instance=report.instance,
        release=report.release,
        state=STATES[report.status],
        capacity=report.capacity,
        runs=[v1.RunEpoch(run_id=run_id, epoch=epoch) for run_id, epoch in report.runs],
        executors=sorted(report.offers.executors),
        labels=dict(report.offers.labels),
        resources=dict(report.offers.resources),
        time_us=int(datetime.now(UTC).timestamp() * 1_000_000),
    )


def status_in(status: v1.EngineStatus | None) -> EngineReport:
    """Read how an engine says it is.

    Raises:
        InputError: it does not say so.
    """
    if status is None:
        raise InputError([Problem(message="it is missing", path="status")])
    if status.state not in _WORDS:
        raise InputError([Problem(message="it is none of the states", path="status.state")])
    return EngineReport(
        engine_id=status.engine_id,
        instance=status.instance,
        release=status.release,
        status=_WORDS[status.state],
        capacity=status.capacity,
        runs=[(RunId(run.run_id), run.epoch) for run in status.runs],
        offers=Offers(
            executors=frozenset(status.executors),
            labels=status.labels,
            resources=status.resources,
        ),
    )


def seen_out(seen: ReportSeen) -> v1.RunsSeen:
    """Write down which runs are an engine's."""
    return v1.RunsSeen(
        kept=[v1.RunEpoch(run_id=run_id, epoch=epoch) for run_id, epoch in seen.kept],
        stopped=[v1.RunEpoch(run_id=run_id, epoch=epoch) for run_id, epoch in seen.stopped],
    )

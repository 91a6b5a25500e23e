"""What an orchestrator reads."""

from pathlib import Path
from typing import Final

import attrs

from dagrun.settings import RETENTION, default_data_dir, parse
from dagrun.settings.network import NetworkSettings
from dagrun.settings.reading import setting

LEAST_LEASE: Final = 0.5  # seconds; less is within what a busy machine takes to answer
MOST_QUEUED: Final = 100_000_000


@attrs.frozen(kw_only=True)
class OrchestratorSettings(NetworkSettings):
    """What the operator of an orchestrator chose."""

    data_dir: Path = setting(parse.path, default_data_dir, about="Where state lives")
    store: str = setting(
        parse.store, lambda: "sqlite:", about="Where journals are: sqlite:, or sqlite:///path"
    )
    retention: float | None = setting(
        parse.retention, lambda: RETENTION, about="How long ended runs are kept"
    )
    workflows: Path | None = setting(
        parse.maybe_folder,
        lambda: None,
        about="A folder of documents to register, now and when they change",
    )
    grpc_port: int = setting(
        parse.port, lambda: 50051, about="Where to listen; 0 for any that is free"
    )
    lease: float = setting(
        parse.at_least(LEAST_LEASE),
        lambda: 15.0,
        about="How long an engine may be silent until it loses its runs",
    )
    load_balancer_type: str = setting(
        parse.text, lambda: "consistent-hash", about="What chooses the engine of a run"
    )
    load_balancer_nodes: int = setting(
        parse.positive, lambda: 150, about="Virtual nodes of an engine, for consistent-hash"
    )
    queue_limit: int = setting(
        parse.whole(1, MOST_QUEUED), lambda: 100_000, about="Most runs that wait for an engine"
    )
    paused: bool = setting(parse.flag, lambda: False, about="Give no run to an engine")
    discovery: tuple[str, ...] = setting(
        parse.names,
        lambda: ("register",),
        about="How engines are found that wait to be dialled: static, register, dns",
    )
    engines: tuple[str, ...] = setting(
        parse.addresses, tuple, about="Engines to dial, for static: host:port,..."
    )
    k8s_service_name: str = setting(
        parse.service,
        lambda: "workflow-engines",
        about="The headless service whose addresses are engines, for dns: host or host:port",
    )
    subscribers: tuple[str, ...] = setting(
        parse.names, tuple, about="What hears of every event: log"
    )
    engine_discovery_interval: float = setting(
        parse.at_least(0.1), lambda: 30.0, about="Time from one look for engines to the next"
    )
    engine_health_check_interval: float = setting(
        parse.at_least(0.1),
        lambda: 10.0,
        about="Most time between two tries to reach an engine that does not answer",
    )

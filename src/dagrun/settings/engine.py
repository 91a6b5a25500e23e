"""What an engine reads."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from dagrun.ports.frames import MAX_CAPACITY
from dagrun.settings import GRACE, default_data_dir, default_parallel, parse
from dagrun.settings.network import NetworkSettings
from dagrun.settings.reading import setting

ENGINE_PORT: Final = 50051
_MEMORY_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


def default_engine_id() -> str:
    """Give the host's name."""
    return os.uname().nodename


def default_resources() -> Mapping[str, float]:
    """Give the cores that this process may use, and its memory in bytes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup, or "max"
        memory = min(memory, int(_MEMORY_LIMIT.read_text()))
    return {"cores": float(len(os.sched_getaffinity(0))), "memory": float(memory)}


@attrs.frozen(kw_only=True)
class EngineSettings(NetworkSettings):
    """What the operator of an engine chose."""

    engine_id: str = setting(
        parse.identifier, default_engine_id, about="The engine's name, its own among all engines"
    )
    orchestrator: str | None = setting(
        parse.maybe_address,
        lambda: None,
        about="The orchestrator to dial; else it waits to be dialled",
    )
    port: int | None = setting(
        parse.port,
        lambda: None,
        about="Where to listen; 0 for any that is free, and none at all if it dials",
    )
    capacity: int = setting(parse.whole(1, MAX_CAPACITY), lambda: 10, about="Most runs at once")
    labels: Mapping[str, str] = setting(
        parse.pairs, dict, about="What runs may require of an engine: name=value,..."
    )
    resources: Mapping[str, float] = setting(
        parse.amounts, default_resources, about="How much of what it has: name=number,..."
    )
    data_dir: Path = setting(parse.path, default_data_dir, about="Where logs and files of runs are")
    parallel: int = setting(parse.positive, default_parallel, about="Most process nodes at once")
    grace: float = setting(
        parse.seconds, lambda: GRACE, about="Most time that running nodes get at shutdown"
    )
    http_allow: tuple[str, ...] = setting(
        parse.hosts, tuple, about="What http nodes may reach although it is not public"
    )
    secrets_dir: Path | None = setting(
        parse.path, lambda: None, about="Where the provider file finds secrets"
    )

"""The commands ``dagrun runs retry|rerun``. What they do is imported when they are called."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dagrun.cli.imports import importing
from dagrun.cli.options import (
    SETTINGS,
    Config,
    DataDir,
    Json,
    RunId,
    Server,
    client_of,
    settings_of,
)

Priority = Annotated[
    int | None, Parameter(help="Higher goes first. Default: that of the other run.")
]
Key = Annotated[
    str | None,
    Parameter(
        name="--idempotency-key",
        help="With a server: calls with the same key are one run, for 24 hours.",
    ),
]
Wait = Annotated[
    bool,
    Parameter(negative="", help="With a server: wait for the end, and print how it went."),
]
Parallel = Annotated[
    int | None,
    Parameter(
        group=SETTINGS, help="Most process nodes at once. DAGRUN_PARALLEL; default: 4 a core."
    ),
]
Grace = Annotated[
    str | None,
    Parameter(
        group=SETTINGS,
        help="Most time that nodes get at shutdown, such as 30 or 1m. DAGRUN_GRACE; default: 30.",
    ),
]
Retention = Annotated[
    str | None,
    Parameter(
        group=SETTINGS,
        help="How long ended runs are kept, such as 12h, or forever. DAGRUN_RETENTION; default: 30d.",
    ),
]
HttpAllow = Annotated[
    str | None,
    Parameter(
        group=SETTINGS,
        help="Hosts, addresses and networks that are not public, and that http nodes may reach, "
        "with commas between them. DAGRUN_HTTP_ALLOW; default: none.",
    ),
]
SecretsDir = Annotated[
    Path | None,
    Parameter(
        group=SETTINGS,
        help="Where the provider file finds secrets. DAGRUN_SECRETS_DIR; default: nowhere.",
    ),
]


def retry(
    run_id: RunId,
    /,
    *,
    priority: Priority = None,
    idempotency_key: Key = None,
    wait: Wait = False,
    json: Json = False,
    parallel: Parallel = None,
    grace: Grace = None,
    retention: Retention = None,
    http_allow: HttpAllow = None,
    secrets_dir: SecretsDir = None,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Do once more what a run did not bring off, in a new run that keeps the rest."""
    wish = {
        "run_id": run_id,
        "whole": False,
        "priority": priority,
        "idempotency_key": idempotency_key,
        "wait": wait,
        "as_json": json,
    }
    flags: dict[str, object] = {
        "parallel": parallel,
        "grace": grace,
        "retention": retention,
        "http_allow": http_allow,
        "secrets_dir": secrets_dir,
    }
    return _run_again(wish, flags, config=config, server=server, data_dir=data_dir)


def rerun(
    run_id: RunId,
    /,
    *,
    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            help="The node with which to begin; the rest is kept. Default: all run again.",
        ),
    ] = None,
    priority: Priority = None,
    idempotency_key: Key = None,
    wait: Wait = False,
    json: Json = False,
    parallel: Parallel = None,
    grace: Grace = None,
    retention: Retention = None,
    http_allow: HttpAllow = None,
    secrets_dir: SecretsDir = None,
    server: Server = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> int:
    """Do once more what a run did, from a node on or all of it, in a new run."""
    wish = {
        "run_id": run_id,
        "whole": True,
        "from_node": from_,
        "priority": priority,
        "idempotency_key": idempotency_key,
        "wait": wait,
        "as_json": json,
    }
    flags: dict[str, object] = {
        "parallel": parallel,
        "grace": grace,
        "retention": retention,
        "http_allow": http_allow,
        "secrets_dir": secrets_dir,
    }
    return _run_again(wish, flags, config=config, server=server, data_dir=data_dir)


def _run_again(
    wish: dict[str, Any],
    flags: dict[str, object],
    *,
    config: Path | None,
    server: str | None,
    data_dir: Path | None,
) -> int:
    with importing():
        from dagrun.cli import reruns  # noqa: PLC0415 — loaded on use

    client = client_of(config, server=server, data_dir=data_dir)
    if client is not None:
        return reruns.run_there(client, reruns.Wish(**wish))
    settings = settings_of(config, data_dir=data_dir, **flags)
    return reruns.run_here(settings, reruns.Wish(**wish))

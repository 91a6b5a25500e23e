"""The commands ``dagrun runs retry|rerun``. What they do is imported when they are called."""

from typing import Annotated

from cyclopts import Parameter

from dagrun.cli.imports import importing
from dagrun.cli.options import ASKED, EXECUTING, Asked, Executing, RunId

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


def retry(
    run_id: RunId,
    /,
    *,
    priority: Priority = None,
    idempotency_key: Key = None,
    wait: Wait = False,
    executing: Executing = EXECUTING,
    asked: Asked = ASKED,
) -> int:
    """Do once more what a run did not bring off, in a new run that keeps the rest."""
    with importing():
        from dagrun.cli import reruns  # noqa: PLC0415 — loaded on use

    wish = reruns.Wish(
        run_id=run_id, whole=False, priority=priority, idempotency_key=idempotency_key, wait=wait
    )
    return reruns.run_again(asked, executing, wish)


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
    executing: Executing = EXECUTING,
    asked: Asked = ASKED,
) -> int:
    """Do once more what a run did, from a node on or all of it, in a new run."""
    with importing():
        from dagrun.cli import reruns  # noqa: PLC0415 — loaded on use

    wish = reruns.Wish(
        run_id=run_id,
        whole=True,
        from_node=from_,
        priority=priority,
        idempotency_key=idempotency_key,
        wait=wait,
    )
    return reruns.run_again(asked, executing, wish)

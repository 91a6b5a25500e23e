"""The commands under ``dagrun engines``. What they do is imported when they are called."""

from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.options import ASKED, Asked, version

engines = App(
    name="engines",
    help="Look at the engines of an orchestrator, and let them take runs or not.",
    version=version,
)
EngineId = Annotated[str, Parameter(help="Id of the engine.")]


@engines.command(name="list")
def list_engines(*, asked: Asked = ASKED) -> int:
    """List the engines."""
    from dagrun.cli.engines import list_engines as command  # noqa: PLC0415 — loaded on use

    return command(asked)


@engines.command
def drain(engine_id: EngineId, /, *, asked: Asked = ASKED) -> int:
    """Let an engine take no more runs. Those that it has go on."""
    from dagrun.cli.engines import drain_engine  # noqa: PLC0415 — loaded on use

    return drain_engine(asked, engine_id, on=True)


@engines.command
def undrain(engine_id: EngineId, /, *, asked: Asked = ASKED) -> int:
    """Let an engine take runs again."""
    from dagrun.cli.engines import drain_engine  # noqa: PLC0415 — loaded on use

    return drain_engine(asked, engine_id, on=False)

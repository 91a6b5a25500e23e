"""The commands under ``dagrun engines``. What they do is imported when they are called."""

from typing import Annotated

from cyclopts import App, Parameter

from dagrun.cli.options import ASKED_SERVER, AskedServer, version

engines = App(
    name="engines",
    help="Look at the engines of an orchestrator, and let them take runs or not.",
    version=version,
)
EngineId = Annotated[str, Parameter(help="Id of the engine.")]


@engines.command(name="list")
def list_engines(*, asked: AskedServer = ASKED_SERVER) -> int:
    """List the engines."""
    client = asked.client("engines list")
    from dagrun.cli.engines import list_engines as command  # noqa: PLC0415 — loaded on use

    return command(client, as_json=asked.json)


@engines.command
def drain(engine_id: EngineId, /, *, asked: AskedServer = ASKED_SERVER) -> int:
    """Let an engine take no more runs. Those that it has go on."""
    client = asked.client("engines drain")
    from dagrun.cli.engines import drain_engine  # noqa: PLC0415 — loaded on use

    return drain_engine(client, engine_id, on=True, as_json=asked.json)


@engines.command
def undrain(engine_id: EngineId, /, *, asked: AskedServer = ASKED_SERVER) -> int:
    """Let an engine take runs again."""
    client = asked.client("engines undrain")
    from dagrun.cli.engines import drain_engine  # noqa: PLC0415 — loaded on use

    return drain_engine(client, engine_id, on=False, as_json=asked.json)

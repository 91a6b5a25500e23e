"""``dagrun engines``: the engines of a server."""

from collections.abc import Sequence

import attrs

from dagrun.cli import output
from dagrun.cli.asking import orchestrator_of
from dagrun.cli.options import Asked
from dagrun.ports.engine import EngineView
from dagrun.ports.management import Management


def list_engines(asked: Asked) -> int:
    """List the engines, by id. Give the exit code."""

    async def act(server: Management) -> Sequence[EngineView]:
        return await server.engines.list()

    whom = orchestrator_of(asked, "engines list")
    engines = whom.ask(act)
    if asked.json:
        output.say_json({"items": [attrs.asdict(one) for one in engines], "next": None})
        return output.DONE
    for one in engines:
        output.say(_line(one))
    if not engines:
        output.note(
            "dagrun: there are no engines; start one with: "
            f"dagrun engine --orchestrator {whom.name}"
        )
    return output.DONE


def drain_engine(asked: Asked, engine_id: str, *, on: bool) -> int:
    """Let an engine take no more runs, or take some again. Give the exit code.

    Raises:
        NotFound: there is no such engine.
    """

    async def act(server: Management) -> EngineView:
        return await server.engines.drain(engine_id, on=on)

    what = "engines drain" if on else "engines undrain"
    engine = orchestrator_of(asked, what).ask(act)
    if asked.json:
        output.say_json(attrs.asdict(engine))
    else:
        output.say(_line(engine))
    return output.DONE


def _line(engine: EngineView) -> str:
    labels = " ".join(f"{name}={value}" for name, value in sorted(engine.labels.items()))
    runs = f"{engine.active_runs} of {engine.capacity} runs"
    return f"{engine.id}  {engine.status:<9}  {runs}  {engine.address}  {labels}".rstrip()

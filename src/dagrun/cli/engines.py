"""``dagrun engines``: the engines of a server."""

from collections.abc import Sequence

import attrs

from dagrun.cli import output
from dagrun.cli.remote import with_server
from dagrun.ports.engine import EngineView
from dagrun.ports.management import Management
from dagrun.settings.client import ClientSettings


def list_engines(client: ClientSettings, *, as_json: bool) -> int:
    """List the engines, by id. Give the exit code."""

    async def act(server: Management) -> Sequence[EngineView]:
        return await server.engines.list()

    engines = with_server(client, act)
    if as_json:
        output.say_json({"items": [attrs.asdict(one) for one in engines], "next": None})
        return output.DONE
    for one in engines:
        output.say(_line(one))
    if not engines:
        output.note(
            "dagrun: there are no engines; start one with: "
            f"dagrun engine --orchestrator {client.server}"
        )
    return output.DONE


def drain_engine(client: ClientSettings, engine_id: str, *, on: bool, as_json: bool) -> int:
    """Let an engine take no more runs, or take some again. Give the exit code.

    Raises:
        NotFound: there is no such engine.
    """

    async def act(server: Management) -> EngineView:
        return await server.engines.drain(engine_id, on=on)

    engine = with_server(client, act)
    if as_json:
        output.say_json(attrs.asdict(engine))
    else:
        output.say(_line(engine))
    return output.DONE


def _line(engine: EngineView) -> str:
    labels = " ".join(f"{name}={value}" for name, value in sorted(engine.labels.items()))
    runs = f"{engine.active_runs} of {engine.capacity} runs"
    return f"{engine.id}  {engine.status:<9}  {runs}  {engine.address}  {labels}".rstrip()

"""Each setting of an orchestrator or an engine changes something that can be seen of it.

Each probe is called with two values, in folders of their own. It reads its settings from an
environment, as the commands do.
"""

import logging
import signal
import socket
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trustme

from dagrun.domain.workflow import ExecutorSpec, Node, Placement, Workflow
from dagrun.errors import ChannelLost, ConfigError, QueueFull
from dagrun.plugin.loading import load_plugins
from dagrun.ports.frames import Hello, Welcome
from dagrun.roles.configured import open_configured_engine, open_configured_orchestrator
from dagrun.roles.network import make_transport
from dagrun.roles.submission import Submission
from dagrun.settings import Settings
from dagrun.settings.client import ClientSettings
from dagrun.settings.engine import EngineSettings
from dagrun.settings.names import NAMES, variable_of
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read
from dagrun.testing.http_server import answer, serving
from dagrun.testing.programs import COMMAND, launching, until
from dagrun.testing.roles import free_port

REGISTRY = load_plugins().registry
LOOPBACK = "127.0.0.1:0"
FREE = "a free port"


def node(node_id, *dependencies, **options):
    kind = options.pop("type", "shell")
    secrets = options.pop("secrets", {})
    executor = ExecutorSpec(type=kind, options=options)
    return Node(id=node_id, executor=executor, dependencies=dependencies, secrets=secrets)


def workflow(*nodes, **fields):
    return Workflow(id="w", version="1.0.0", nodes=nodes, **fields)


HELLO = workflow(node("a", command="true"))


@attrs.define
class Scene:
    """A folder, and the roles that a probe opens in it."""

    folder: Path
    name: str
    value: str
    stack: AsyncExitStack

    @property
    def chosen(self):
        """The variable that the probe is about."""
        return {variable_of(self.name): self.value}

    async def orchestrator(self, **environ):
        return await self.stack.enter_async_context(
            open_configured_orchestrator(REGISTRY, self.orchestrator_settings(**environ))
        )

    async def engine(self, **environ):
        return await self.stack.enter_async_context(
            open_configured_engine(REGISTRY, self.engine_settings(**environ))
        )

    def orchestrator_settings(self, **environ):
        return self._read(OrchestratorSettings, {"GRPC_PORT": "0", **environ})

    def engine_settings(self, **environ):
        return self._read(
            EngineSettings, {"DAGRUN_DATA_DIR": str(self.folder / "engine"), **environ}
        )

    def _read(self, kind, environ):
        mine = self.name in {field.name for field in attrs.fields(kind)}
        usual = {"DAGRUN_DATA_DIR": str(self.folder / "data")}
        return read(kind, {}, environ={**usual, **environ, **(self.chosen if mine else {})})

    async def raw(self, address, **environ):
        """Attach to an orchestrator with a stream that the probe itself talks on."""
        transport = make_transport(REGISTRY, read(EngineSettings, {}, environ=environ), port=0)
        await self.stack.enter_async_context(transport)
        return await self.stack.enter_async_context(transport.attach(address))

    async def fake_engine(self, leading, name="e1"):
        channel = await self.raw(leading.addresses[0])
        hello = Hello(engine_id=name, instance=name, release="", capacity=9, executors=("shell",))
        await channel.send([hello])
        (welcome, *_) = await channel.receive()
        assert isinstance(welcome, Welcome)
        return channel, welcome


async def submit(leading, document=HELLO):
    return await leading.submit(Submission(workflow=document, inputs={}))


async def run(leading, document=HELLO):
    run_id = await submit(leading, document)
    with trio.fail_after(30):
        return await leading.result(run_id)


async def joined(leading):
    with trio.fail_after(30):
        while not leading.engines():  # noqa: ASYNC110 — another process comes
            await trio.sleep(0.01)
    return leading.engines()[0]


async def together(scene, **environ):
    """Open an orchestrator and an engine that is attached to it."""
    leading = await scene.orchestrator()
    working = await scene.engine(DAGRUN_ORCHESTRATOR=leading.addresses[0], **environ)
    return leading, working, await joined(leading)


async def what_is_refused(call):
    try:
        await call()
    except (ChannelLost, ConfigError, QueueFull) as error:
        return type(error)
    return None


async def listens_at(scene):
    return (await scene.orchestrator()).addresses


async def starts(scene):
    return await what_is_refused(scene.orchestrator)


async def lets_two_in(scene):
    leading = await scene.orchestrator()
    await scene.raw(leading.addresses[0])
    return await what_is_refused(partial(scene.raw, leading.addresses[0]))


async def gives_up_soon(scene):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = scene.engine_settings()
        transport = await scene.stack.enter_async_context(
            make_transport(REGISTRY, settings, port=0)
        )
        with trio.move_on_after(2) as waited:
            with suppress(ChannelLost):
                async with transport.attach(f"127.0.0.1:{silent.getsockname()[1]}"):
                    pass
        return not waited.cancelled_caught


async def lets_in_who_shows_a(scene):
    leading = await scene.orchestrator()
    return await what_is_refused(partial(scene.raw, leading.addresses[0], DAGRUN_TOKEN="a"))


def certificates(scene):
    """Make the certificates of two authorities; give name → file."""
    files = {}
    for name in ("one", "two"):
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        files |= {
            f"{name}.{kind}": scene.folder / f"{name}.{kind}" for kind in ("ca", "crt", "key")
        }
        authority.cert_pem.write_to_path(files[f"{name}.ca"])
        issued.private_key_pem.write_to_path(files[f"{name}.key"])
        files[f"{name}.crt"].write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    return {name: str(path) for name, path in files.items()}


async def is_let_in_with_tls(scene):
    """Serve with the certificate of one authority, or what the probe is about instead of it."""
    files = certificates(scene)
    scene.value = files[scene.value]
    both = {"DAGRUN_TLS_CERT": files["one.crt"], "DAGRUN_TLS_KEY": files["one.key"]}
    if scene.name == "tls_cert":
        both["DAGRUN_TLS_KEY"] = scene.value.replace(".crt", ".key")

    async def attach():
        leading = await scene.orchestrator(**both)
        client = {
            "DAGRUN_TLS_CA": files["one.ca"],
            "DAGRUN_TLS_CERT": files["one.crt"],
            "DAGRUN_TLS_KEY": files["one.key"],
        }
        await scene.raw(leading.addresses[0], **client)

    return await what_is_refused(attach)


async def databases(scene):
    await scene.orchestrator()
    return sorted(str(path.relative_to(scene.folder)) for path in scene.folder.rglob("*.db"))


async def keeps_old_runs(scene):
    async with AsyncExitStack() as first:
        plain = Scene(scene.folder, "none", "", first)
        leading, *_ = await together(plain)
        done = await run(leading)
    leading = await scene.orchestrator()
    with trio.move_on_after(1):
        while (await leading.store.runs())[0]:  # noqa: ASYNC110 — it is the store that changes
            await trio.sleep(0.02)
    return [record.run_id == done.run_id for record in (await leading.store.runs())[0]]


async def welcomes_with(scene):
    leading = await scene.orchestrator()
    _, welcome = await scene.fake_engine(leading)
    return welcome.lease


async def places(scene, count, key, engines):
    """Give which engine got each of some runs."""
    leading = await scene.orchestrator()
    for name in engines:
        await scene.fake_engine(leading, name)
    given = []
    for number in range(count):
        placement = Placement(key=key(number))
        run_id = await submit(leading, attrs.evolve(HELLO, placement=placement))
        given.append(leading.dispatcher.ticket(run_id).engine.name)
    return given


async def engines_for_two_runs_of_a_key(scene):
    return len(set(await places(scene, 2, lambda _: "same", ("e1", "e2"))))


async def engines_for_many_keys(scene):
    return await places(scene, 12, lambda number: f"key-{number}", ("e1", "e2", "e3"))


async def takes_two_runs(scene):
    leading = await scene.orchestrator()
    await submit(leading)
    return await what_is_refused(partial(submit, leading))


async def says_why_a_run_waits(scene):
    leading = await scene.orchestrator()
    return leading.dispatcher.explain(await submit(leading))


async def has_registered(scene):
    for name in ("here", "there"):
        (scene.folder / name).mkdir()
        document = (
            f"apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {{id: {name}, version: 1.0.0}}\n"
        )
        nodes = "spec: {nodes: [{id: a, executor: {type: shell, command: [ls]}}]}\n"
        (scene.folder / name / "w.yaml").write_text(document + nodes)
    scene.value = str(scene.folder / scene.value)
    leading = await scene.orchestrator()
    return [one.workflow_id for one in await leading.store.registrations()]


async def takes_registrations(scene):
    leading = await scene.orchestrator(DAGRUN_ENGINES="127.0.0.1:9")

    async def register():
        leading.register("127.0.0.1:9")

    return await what_is_refused(register)


async def finds(scene, discovery):
    leading = await scene.orchestrator(DAGRUN_DISCOVERY=discovery)
    await trio.sleep(0.5)
    return leading.discoveries._present


async def tells_the_log(scene):
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    log = logging.getLogger("dagrun.events")
    log.addHandler(handler)
    log.setLevel("INFO")
    scene.stack.callback(log.removeHandler, handler)
    async with AsyncExitStack() as inner:
        leading = await Scene(scene.folder, scene.name, scene.value, inner).orchestrator()
        await submit(leading)
    return heard


async def forgets_registrations(scene):
    leading = await scene.orchestrator()
    leading.register("127.0.0.1:9")
    await trio.sleep(1)
    return leading.discoveries.statistics().found


async def is_dialled_often(scene):
    """Count how often an engine is tried that takes no stream."""
    count = 0

    async def refuse(stream):
        nonlocal count
        count += 1
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, refuse, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        async with AsyncExitStack() as inner:
            scene.stack = inner
            await scene.orchestrator(DAGRUN_DISCOVERY="static", DAGRUN_ENGINES=address)
            await trio.sleep(3)
        nursery.cancel_scope.cancel()
    return count > 10


async def view(scene):
    _, _, found = await together(scene)
    return found


async def offers(scene):
    leading, _, found = await together(scene)
    (engine,) = (one for one in leading.fleet._roster.all() if one.name == found.id)
    return engine.offers.resources


async def dials(scene):
    leading = await scene.orchestrator()
    scene.value = scene.value and leading.addresses[0]
    await scene.engine(PORT="0")
    with trio.move_on_after(2):
        await joined(leading)
    return len(leading.engines())


def free_for(scene):
    """Choose a port when it is needed, and give it: others may have taken it by the next test."""
    port = str(free_port())
    scene.value = scene.value.replace(FREE, port)
    return port


async def is_at_that_port(scene):
    port = free_for(scene)
    (address,) = await listens_at(scene)
    return address.endswith(f":{port}")


async def engine_is_at_that_port(scene):
    port = free_for(scene)
    return (await scene.engine()).address.endswith(f":{port}")


async def runs_in(scene):
    leading, *_ = await together(scene)
    document = workflow(node("a", command='echo "{\\"here\\": \\"$PWD\\"}" > $DAGRUN_OUTPUT'))
    (done,) = (await run(leading, document)).nodes
    return Path(done.outputs["here"]).parents[1].name


async def both_at_once(scene):
    leading, *_ = await together(scene)
    a, b = (await run(leading, workflow(*(node(n, command="sleep 0.3") for n in "ab")))).nodes
    return max(a.started_at, b.started_at) < min(a.finished_at, b.finished_at)


async def asks(scene):
    with serving({"*": answer("come in")}) as site:
        leading, *_ = await together(scene)
        return (await run(leading, workflow(node("a", type="http", url=site.url)))).status


async def knows(scene):
    scene.value = str(scene.folder / scene.value)
    (scene.folder / "here").mkdir()
    (scene.folder / "here" / "word").write_text("a long secret")
    leading, *_ = await together(scene)
    document = workflow(node("a", command="true", secrets={"WORD": "file:word"}))
    return (await run(leading, document)).status


async def node_ends_before_its_engine(scene):
    """Let the command itself be told to end while a node is running."""
    leading = await scene.orchestrator()
    with launching(scene.folder) as launch:
        process = launch(
            *COMMAND, "engine", DAGRUN_ORCHESTRATOR=leading.addresses[0], **scene.chosen
        )
        await joined(leading)
        await submit(
            leading,
            workflow(node("a", command=f"cd {scene.folder}; touch began; sleep 1; touch ended")),
        )
        await trio.to_thread.run_sync(partial(until, (scene.folder / "began").exists))
        process.send_signal(signal.SIGTERM)
        await trio.to_thread.run_sync(process.wait)
    return (scene.folder / "ended").exists()


async def log_of_a_start(scene):
    """Let the command itself start and end, and give the shape of what it logged."""
    port = free_port()
    with launching(scene.folder) as launch:
        process = launch(*COMMAND, "orchestrator", GRPC_PORT=str(port), **scene.chosen)
        await trio.to_thread.run_sync(partial(until, partial(answers, port)))
        process.send_signal(signal.SIGTERM)
        _, logged = await trio.to_thread.run_sync(process.communicate)
    return logged[:1], "listening on" in logged


async def listens_on(scene):
    (address,) = await listens_at(scene)
    return address.rpartition(":")[0]


async def databases_below(scene):
    scene.value = str(scene.folder / scene.value)
    return await databases(scene)


async def seen_of(scene, what):
    return getattr(await view(scene), what)


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


PROBES = {
    "transport_type": (["grpc", "memory"], starts),
    "grpc_address": (["127.0.0.1", "127.0.0.2"], listens_on),
    "max_connections": (["1", "100"], lets_two_in),
    "connection_timeout": (["0.3", "30"], gives_up_soon),
    "token": (["a", "b"], lets_in_who_shows_a),
    "tls_cert": (["one.crt", "two.crt"], is_let_in_with_tls),
    "tls_key": (["one.key", "two.key"], is_let_in_with_tls),
    "tls_ca": (["one.ca", "two.ca"], is_let_in_with_tls),
    "log_format": (["console", "json"], log_of_a_start),
    "log_level": (["info", "error"], log_of_a_start),
    "data_dir": (["here", "there"], databases_below),
    "store": (["sqlite:", "memory:"], databases),
    "retention": (["0", "forever"], keeps_old_runs),
    "workflows": (["here", "there"], has_registered),
    "grpc_port": ([FREE, "0"], is_at_that_port),
    "lease": (["5", "1m"], welcomes_with),
    "load_balancer_type": (["consistent-hash", "round-robin"], engines_for_two_runs_of_a_key),
    "load_balancer_nodes": (["1", "150"], engines_for_many_keys),
    "queue_limit": (["1", "2"], takes_two_runs),
    "paused": (["true", "false"], says_why_a_run_waits),
    "discovery": (["static", "register"], takes_registrations),
    "engines": (["127.0.0.1:9", "127.0.0.1:9,127.0.0.2:9"], partial(finds, discovery="static")),
    "k8s_service_name": (["localhost:9", "localhost:10"], partial(finds, discovery="dns")),
    "subscribers": (["", "log"], tells_the_log),
    "engine_discovery_interval": (["0.1", "1h"], forgets_registrations),
    "engine_health_check_interval": (["0.1", "1m"], is_dialled_often),
    "engine_id": (["one", "two.test"], partial(seen_of, what="id")),
    "orchestrator": (["there", ""], dials),
    "port": ([FREE, "0"], engine_is_at_that_port),
    "capacity": (["1", "7"], partial(seen_of, what="capacity")),
    "labels": (["a=b", "a=c,d=e"], partial(seen_of, what="labels")),
    "resources": (["gpus=1", "gpus=2"], offers),
    "parallel": (["1", "2"], both_at_once),
    "grace": (["0.1", "20"], node_ends_before_its_engine),
    "http_allow": (["10.0.0.0/8", "127.0.0.1"], asks),
    "secrets_dir": (["nowhere", "here"], knows),
}
"""Setting → two values, and what differs."""


def names(kind):
    return {field.name for field in attrs.fields(kind)}


def test_every_setting_has_a_probe_and_all_names_are_known_to_all_commands():
    assert set(PROBES) == names(OrchestratorSettings) | names(EngineSettings)
    assert names(Settings) | names(ClientSettings) | set(PROBES) == NAMES


@pytest.mark.parametrize("name", PROBES)
async def test_changing_a_setting_changes_what_is_seen(tmp_path, name):
    values, probe = PROBES[name]
    seen = []
    for value in values:
        (folder := tmp_path / str(len(seen))).mkdir()
        async with AsyncExitStack() as stack:
            seen.append(await probe(Scene(folder, name, value, stack)))
    assert seen[0] != seen[1]

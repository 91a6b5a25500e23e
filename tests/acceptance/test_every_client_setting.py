"""Each setting of the commands that ask a server changes what they say, whatever names it."""

import json
import socket
import time
from contextlib import contextmanager

import attrs
import pytest
import trustme

from dagrun.settings.client import ClientSettings
from dagrun.settings.names import flag_of, variable_of
from dagrun.testing.programs import COMMAND, call
from dagrun.testing.roles import address_of, free_port

PATIENCE = 9  # seconds; more than a command takes to start
TOML, VARIABLE, FLAG = "toml", "variable", "flag"


class Scene:
    """A folder, and what starts orchestrators in it."""

    def __init__(self, folder, start):
        self.folder, self.start = folder, start

    def lead(self, *more, name="data"):
        return address_of(
            self.start("orchestrator", "--grpc-port", "0", "--data-dir", self.folder / name, *more)
        )

    def ask(self, chosen, source, **usual):
        """Ask for the list of workflows. Give what is printed, or the kind of the error."""
        flags = {flag_of(name): value for name, value in usual.items() if name not in chosen}
        environment = {}
        if source == FLAG:
            flags |= {flag_of(name): value for name, value in chosen.items()}
        elif source == VARIABLE:
            environment = {variable_of(name): value for name, value in chosen.items()}
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in chosen.items()]
        (self.folder / "dagrun.toml").write_text("".join(lines) if source == TOML else "")
        words = [word for pair in flags.items() for word in pair]
        done = call(
            *COMMAND, "workflows", "list", "--json", *words, folder=self.folder, **environment
        )
        printed = json.loads(done.stdout)
        return printed["error"]["type"] if "error" in printed else len(printed["items"])


@pytest.fixture
def scene(tmp_path, start):
    return Scene(tmp_path, start)


@contextmanager
def asking(scene, name, value, **usual):
    yield lambda source, value=value: scene.ask({name: value}, source, **usual)


@contextmanager
def server(scene):
    with asking(scene, "server", scene.lead()) as ask:
        yield ask, f"127.0.0.1:{free_port()}"


@contextmanager
def token(scene):
    address = scene.lead()
    made = call(*COMMAND, "tokens", "create", "viewer", "--json", folder=scene.folder)
    with asking(scene, "token", json.loads(made.stdout)["token"], server=address) as ask:
        yield ask, "another"


@contextmanager
def transport_type(scene):
    with asking(scene, "transport_type", "grpc", server=scene.lead()) as ask:
        yield ask, "pigeon"


@contextmanager
def connection_timeout(scene):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with asking(scene, "connection_timeout", "0.2s", server=address) as ask:

            def is_patient(source, *value):
                begun = time.monotonic()
                assert ask(source, *value) == "unreachable"
                return time.monotonic() - begun > PATIENCE

            yield is_patient, f"{PATIENCE}s"


@contextmanager
def with_tls(scene, name):
    """Serve with the certificate of one authority, and ask clients for one of it."""
    files = {}
    for who in ("one", "two"):
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        files |= {
            f"{who}.{kind}": str(scene.folder / f"{who}.{kind}") for kind in ("ca", "crt", "key")
        }
        authority.cert_pem.write_to_path(files[f"{who}.ca"])
        issued.private_key_pem.write_to_path(files[f"{who}.key"])
        issued.cert_chain_pems[0].write_to_path(files[f"{who}.crt"])
    usual = {"tls_cert": files["one.crt"], "tls_key": files["one.key"], "tls_ca": files["one.ca"]}
    flags = [word for setting, file in usual.items() for word in (flag_of(setting), file)]
    usual["server"] = scene.lead(*flags)
    other = usual[name].replace("one.", "two.")
    with asking(scene, name, usual.pop(name), **usual) as ask:
        yield ask, other


PROBES = {
    "server": server,
    "token": token,
    "transport_type": transport_type,
    "connection_timeout": connection_timeout,
    "tls_cert": lambda scene: with_tls(scene, "tls_cert"),
    "tls_key": lambda scene: with_tls(scene, "tls_key"),
    "tls_ca": lambda scene: with_tls(scene, "tls_ca"),
}
"""Setting → what asks with one value, and another value."""


def test_every_setting_has_a_probe():
    assert set(PROBES) == {field.name for field in attrs.fields(ClientSettings)}


@pytest.mark.parametrize("name", PROBES)
def test_changing_a_setting_changes_what_is_seen_whatever_names_it(scene, name):
    with PROBES[name](scene) as (ask, other):
        seen = [ask(source) for source in (FLAG, VARIABLE, TOML)]
        assert len(set(seen)) == 1
        assert seen[0] != ask(FLAG, other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--token", "t"], "--token is for a server: name one with --server"),
        (["--tls-ca", "f"], "--tls-ca is for a server: name one with --server"),
        (["--token", "t", "--data-dir", "d"], "--token is for a server: name one with --server"),
        (["--server", "a:1", "--data-dir", "d"], "name a --server or a --data-dir"),
        (["--server", "a"], "--server: host:port is needed, not 'a'"),
    ],
)
def test_flags_for_a_server_need_one(dagrun, given, message):
    done = dagrun("runs", "list", *given)
    assert done.returncode == 2
    assert done.stderr.startswith(f"dagrun: {message}")


@pytest.mark.parametrize(
    "command", ["workflows list", "runs show", "runs start", "engines list", "events"]
)
def test_commands_that_ask_a_server_have_a_flag_for_each_setting(dagrun, command):
    shown = dagrun(*command.split(), "--help").stdout
    for field in attrs.fields(ClientSettings):
        assert flag_of(field.name) in shown
        assert variable_of(field.name) in shown


def test_a_transport_that_reaches_no_server_is_refused_in_one_line(dagrun):
    told = dagrun("runs", "list", "--server", "127.0.0.1:1", "--transport-type", "memory")
    message = "dagrun: the transport 'memory' reaches nobody outside this process\n"
    assert (told.returncode, told.stderr) == (2, message)

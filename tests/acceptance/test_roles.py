"""The commands ``orchestrator`` and ``engine``: what they refuse, say, and find."""

import json
import signal

import pytest
import trio
import trustme

from dagrun.builtin.sqlite import SqliteStore
from dagrun.roles.places import DATABASE
from dagrun.testing.http_server import answer, serving
from dagrun.testing.programs import COMMAND, call
from dagrun.testing.roles import LISTENING, address_of, lines_up_to, logged, read_log

ELSEWHERE = ("--grpc-address", "0.0.0.0")


TOKEN = {"orchestrator": "make one with: dagrun tokens create", "engine": "--token"}


@pytest.mark.parametrize("role", ["orchestrator", "engine"])
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), "without TLS (--tls-cert, --tls-key) and a token (TOKEN)"),
        (("--token", "t"), "without TLS (--tls-cert, --tls-key) anybody"),
        (("--tls-cert", "c", "--tls-key", "k"), "without a token (TOKEN) or certificates"),
    ],
)
def test_listening_for_other_machines_without_tls_and_a_token_is_refused(
    dagrun, role, given, missing
):
    done = dagrun(role, *ELSEWHERE, *given)
    assert done.returncode == 2
    told = missing.replace("TOKEN", TOKEN[role])
    assert done.stderr.startswith(f"dagrun: other machines reach 0.0.0.0: {told}")
    assert len(done.stderr.splitlines()) == 1


def test_a_token_that_is_stored_is_one_that_callers_need(dagrun):
    given = ("orchestrator", *ELSEWHERE, "--tls-cert", "none.pem", "--tls-key", "none.pem")
    assert "other machines reach" in dagrun(*given).stderr
    dagrun("tokens", "create", "engine")
    problem = "none.pem cannot be used for TLS: No such file or directory"
    assert problem in dagrun(*given).stderr


def test_a_database_without_a_token_lets_nobody_in_from_other_machines(dagrun, tmp_path):
    issued = trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    issued.write_to_path(tmp_path / "own.pem")
    (tmp_path / "data").mkdir(mode=0o700)
    trio.run(opened, tmp_path / "data" / DATABASE)
    given = ("orchestrator", *ELSEWHERE, "--tls-cert", "own.pem", "--tls-key", "own.pem")
    done = dagrun(*given)
    told = "without a token (make one with: dagrun tokens create)"
    assert (done.returncode, told in done.stderr) == (2, True)


async def opened(file):
    async with SqliteStore(path=file):
        pass


@pytest.mark.parametrize(
    ("command", "port"), [("orchestrator", "--grpc-port"), ("engine", "--port")]
)
def test_insecure_allows_it(start, command, port):
    role = start(command, *ELSEWHERE, port, "0", "--insecure")
    assert address_of(role).startswith("0.0.0.0:")


def test_an_engine_that_only_dials_may_have_any_address(start):
    role = start("engine", *ELSEWHERE, "--orchestrator", "127.0.0.1:1")
    read_log(role, "no orchestrator: 127.0.0.1:1")


@pytest.mark.parametrize(
    ("role", "given", "message"),
    [
        ("orchestrator", {"DAGRUN_DISCOVERY": "guess"}, "no discovery is called 'guess'"),
        ("orchestrator", {"DAGRUN_DISCOVERY": "static"}, "with --engines, or DAGRUN_ENGINES"),
        ("orchestrator", {"LOAD_BALANCER_TYPE": "fair"}, "no balancer is called 'fair'"),
        ("orchestrator", {"TRANSPORT_TYPE": "pigeon"}, "no transport is called 'pigeon'"),
        ("orchestrator", {"TRANSPORT_TYPE": "memory"}, "reaches nobody outside this process"),
        ("orchestrator", {"DAGRUN_STORE": "oracle:x"}, "no store is called 'oracle'"),
        ("orchestrator", {"DAGRUN_TLS_CERT": "none.pem"}, "tls_cert and tls_key belong together"),
        ("engine", {"GRPC_ADDRESS": "192.0.2.1", "PORT": "1"}, "192.0.2.1: without TLS"),
        ("engine", {"DAGRUN_RESOURCES": "much"}, "DAGRUN_RESOURCES: name=number is needed"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path, role, given, message):
    done = call(*COMMAND, role, folder=tmp_path, **given)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_empty_list_of_engines_is_told_where_others_may_be_found(start):
    role = start("orchestrator", "--grpc-port", "0", "--discovery", "static,register")
    told = read_log(role, "the discovery static has no engine to dial")
    assert told.endswith("name some with --engines, or DAGRUN_ENGINES")
    assert address_of(role)


def test_a_port_that_is_taken_is_told(start, dagrun):
    address = address_of(start("orchestrator", "--grpc-port", "0"))
    done = dagrun("engine", "--port", address.rpartition(":")[2])
    assert done.returncode == 2
    assert f"{address} cannot be listened on" in done.stderr


def test_help_names_each_setting_with_its_variable_and_its_default(tmp_path):
    for role, flag, variable in [
        ("orchestrator", "--queue-limit", "DAGRUN_QUEUE_LIMIT; default: 100000."),
        ("orchestrator", "--lease", "DAGRUN_LEASE; default: 15s."),
        ("orchestrator", "--discovery", "DAGRUN_DISCOVERY; default: register."),
        ("orchestrator", "--paused", "DAGRUN_PAUSED."),
        ("engine", "--engine-id", "ENGINE_ID"),
    ]:
        shown = call(*COMMAND, role, "--help", folder=tmp_path, COLUMNS="200").stdout
        assert flag in shown
        assert variable in shown


def test_the_log_is_one_json_object_a_line_unless_people_read_it(start):
    role = start("orchestrator", "--grpc-port", "0")
    address = address_of(role)
    role.send_signal(signal.SIGTERM)
    out, err = role.communicate()
    assert (out, role.returncode) == ("", 0)
    (entry,) = logged(err)
    assert entry["event"] == "stopped"
    assert entry["level"] == "info"
    assert entry["timestamp"].endswith("Z")
    plain = start("orchestrator", "--grpc-port", "0", "--log-format", "console")
    line = plain.read_line("stderr")
    assert "listening on 127.0.0.1:" in line
    assert "\x1b" not in line
    assert not line.startswith("{")
    assert address.startswith("127.0.0.1:")


def test_a_name_with_control_characters_forges_no_line(tmp_path):
    code = (
        "import logging\n"
        "from dagrun.cli.logs import write_logs\n"
        "for form in 'console', 'json':\n"
        "    write_logs(form, 'info')\n"
        "    logging.getLogger('dagrun.x').info('engine %s', 'e\\n{\"event\": 1}\\x1b[2J\\x9b')\n"
        "    logging.getLogger('library').info('everyday')\n"
        "    logging.getLogger('dagrun.x').info('joined', extra={'engine_id': 'e\\n\\x1b[2J'})\n"
    )
    done = call("-c", code, folder=tmp_path)
    console, beside, as_json, as_json_beside = done.stderr.splitlines()
    assert r"engine_id=e\n\x1b[2J" in beside
    assert json.loads(as_json_beside)["engine_id"] == "e\n\x1b[2J"
    assert r"engine e\n{" in console
    assert not {"\x1b", "\x9b"} & set(done.stderr)
    assert json.loads(as_json)["event"] == 'engine e\n{"event": 1}\x1b[2J\x9b'


def test_no_token_and_no_secret_of_a_request_is_in_the_log_whatever_its_level(start, tmp_path):
    word = "a-word-that-nobody-may-see"
    level = ("--log-level", "debug")
    orchestrator = start("orchestrator", "--grpc-port", "0", *level, DAGRUN_TOKEN=word)
    begun = lines_up_to(orchestrator, LISTENING)
    *_, listens = logged("\n".join(begun))
    address = listens["event"].removeprefix(LISTENING)
    engine = start("engine", "--orchestrator", address, *level, DAGRUN_TOKEN=word)
    joined = lines_up_to(engine, "is attached")
    for role, lines in (engine, joined), (orchestrator, begun):
        role.send_signal(signal.SIGTERM)
        _, rest = role.communicate()
        assert rest
        assert word not in "\n".join([*lines, rest])
    with serving({"*": answer("come in")}) as site:
        code = (
            "import httpx\n"
            "from dagrun.cli.logs import write_logs\n"
            "write_logs('json', 'debug')\n"
            f"httpx.get('{site.url}?key={word}', headers={{'Authorization': '{word}'}})\n"
            "import logging; logging.getLogger('library').debug('it has ended')\n"
        )
        done = call("-c", code, folder=tmp_path)
    assert word not in done.stderr
    assert "it has ended" in done.stderr


PLUGIN = """
import trio
from pathlib import Path
from dagrun.plugin.hookspecs import hookimpl

class FileDiscovery:
    settings = {"data_dir": "data_dir"}

    def __init__(self, *, data_dir):
        self.file = Path(data_dir) / "engines.txt"

    async def run(self, found, *, task_status=trio.TASK_STATUS_IGNORED):
        task_status.started()
        while True:
            if self.file.exists():
                found(self.file.read_text().split())
            await trio.sleep(0.05)

@hookimpl
def dagrun_register(registry):
    registry.discoveries.add("file", FileDiscovery)
"""


@pytest.fixture
def plugin(tmp_path):
    """Install a discovery of somebody else's: a module, and metadata with its entry point."""
    site = tmp_path / "site"
    info = site / "their_discovery-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "their_discovery.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-discovery\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dagrun]\ntheirs = their_discovery\n")
    return str(site)


def test_a_discovery_of_somebody_else_is_chosen_by_its_name(start, plugin, tmp_path):
    engine = start("engine", "--port", "0", "--engine-id", "e1")
    leads = start(
        *("orchestrator", "--grpc-port", "0"), DAGRUN_DISCOVERY="register,file", PYTHONPATH=plugin
    )
    address_of(leads)
    (tmp_path / "data" / "engines.txt").write_text(address_of(engine))
    assert read_log(leads, "joined") == "engine e1: joined"


def test_it_is_listed_with_the_plugins(plugin, tmp_path):
    done = call(*COMMAND, "plugins", "--json", folder=tmp_path, PYTHONPATH=plugin)
    (theirs,) = [item for item in json.loads(done.stdout)["items"] if item["name"] == "theirs"]
    assert theirs["offers"] == {"discovery": ["file"]}

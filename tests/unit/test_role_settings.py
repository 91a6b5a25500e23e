"""What the settings of the roles may be, and where they come from."""

from pathlib import Path

import pytest

from dagrun.cli.engine import run_engine
from dagrun.cli.remote import with_server
from dagrun.errors import ConfigError
from dagrun.plugin.registry import Registry
from dagrun.ports.tokens import Role
from dagrun.roles.network import check_shown, make_transport
from dagrun.settings.client import ClientSettings
from dagrun.settings.engine import EngineSettings
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read


def orchestrator(flags=(), config=None, **environ):
    return read(OrchestratorSettings, dict(flags), environ=environ, config=config)


def engine(flags=(), config=None, **environ):
    return read(EngineSettings, dict(flags), environ=environ, config=config)


def test_without_any_choice_the_defaults_of_the_table_hold():
    settings = orchestrator()
    assert settings.transport_type == "grpc"
    assert (settings.grpc_address, settings.grpc_port) == ("127.0.0.1", 50051)
    assert (settings.load_balancer_type, settings.load_balancer_nodes) == ("consistent-hash", 150)
    assert (settings.max_connections, settings.connection_timeout) == (100, 30)
    assert settings.engine_discovery_interval == 30
    assert settings.engine_health_check_interval == 10
    assert settings.k8s_service_name == "workflow-engines"
    assert (settings.store, settings.discovery, settings.engines) == ("sqlite:", ("register",), ())
    assert (settings.lease, settings.queue_limit, settings.paused) == (15, 100_000, False)
    assert (settings.token, settings.tls_cert, settings.tls_key, settings.tls_ca) == (None,) * 4
    assert (settings.log_format, settings.log_level) == (None, "info")
    given = engine()
    assert (given.capacity, given.orchestrator, given.port, given.labels) == (10, None, None, {})
    assert given.resources["cores"] >= 1
    assert given.resources["memory"] > 1e6


def test_variables_have_a_prefix_unless_they_are_older(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text('grpc_port = 1\nlease = "1m"\ntoken = "t"\nengines = ["a:1", "b:2"]\n')
    assert orchestrator(config=file).engines == ("a:1", "b:2")
    settings = orchestrator(config=file, GRPC_PORT="2", DAGRUN_LEASE="30")
    assert (settings.grpc_port, settings.lease, settings.token) == (2, 30, "t")
    settings = orchestrator({"grpc_port": "3"}, config=file, GRPC_PORT="2")
    assert settings.grpc_port == 3


def test_tables_of_the_file_are_labels_and_resources(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text('labels = {zone = "a"}\nresources = {gpus = 2}\n')
    settings = engine(config=file)
    assert (settings.labels, settings.resources) == ({"zone": "a"}, {"gpus": 2.0})
    settings = engine(config=file, DAGRUN_LABELS="zone=b, size=big", DAGRUN_RESOURCES="gpus=0.5")
    assert settings.labels == {"zone": "b", "size": "big"}
    assert settings.resources == {"gpus": 0.5}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"GRPC_PORT": "70000"}, "GRPC_PORT: a number from 0 to 65535 is needed, not '70000'"),
        ({"GRPC_PORT": "1_0"}, "GRPC_PORT: a whole number is needed, not '1_0'"),
        ({"GRPC_PORT": "\uff15"}, "GRPC_PORT: a whole number is needed"),
        ({"DAGRUN_LEASE": "1_0"}, "DAGRUN_LEASE: seconds are needed"),
        ({"DAGRUN_LEASE": "1e400"}, "DAGRUN_LEASE: seconds are needed"),
        ({"LOAD_BALANCER_NODES": "0"}, "LOAD_BALANCER_NODES: a number from 1"),
        ({"LOAD_BALANCER_TYPE": " "}, "LOAD_BALANCER_TYPE: a text is needed"),
        ({"CONNECTION_TIMEOUT": "0"}, "CONNECTION_TIMEOUT: 0.001 s are needed at least"),
        ({"CONNECTION_TIMEOUT": "soon"}, "CONNECTION_TIMEOUT: seconds are needed"),
        ({"DAGRUN_LEASE": "0.1"}, "DAGRUN_LEASE: 0.5 s are needed at least"),
        ({"DAGRUN_PAUSED": "maybe"}, "DAGRUN_PAUSED: true or false is needed"),
        ({"DAGRUN_ENGINES": "a:1,b"}, "DAGRUN_ENGINES: host:port is needed, with commas"),
        ({"DAGRUN_STORE": "/var/x.db"}, "DAGRUN_STORE: a store is needed, such as sqlite:"),
        ({"DAGRUN_LOG_LEVEL": "loud"}, "DAGRUN_LOG_LEVEL: one of debug, info, warning"),
        ({"DAGRUN_LOG_FORMAT": "xml"}, "DAGRUN_LOG_FORMAT: one of console, json"),
        ({"K8S_SERVICE_NAME": "a b"}, "K8S_SERVICE_NAME: the name of a host is needed"),
        *(
            ({"K8S_SERVICE_NAME": name}, "K8S_SERVICE_NAME: the name of a host is needed")
            for name in ("a..b", "x" * 64, "x." * 130, ".a", "a..b:1", "[::1]:5", "é:1")
        ),
        ({"K8S_SERVICE_NAME": "a:b"}, "K8S_SERVICE_NAME: host:port is needed"),
        ({"DAGRUN_CAPACITY": "1"}, "DAGRUN_CAPACITY: there is no such setting (did you mean 'CAPA"),
        ({"DAGRUN_LEASES": "1"}, "DAGRUN_LEASES: there is no such setting (did you mean 'DAGRUN_L"),
    ],
)
def test_what_does_not_parse_is_named_after_its_variable(environ, message):
    with pytest.raises(ConfigError) as caught:
        orchestrator(**environ)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ENGINE_ID": "a b"}, "ENGINE_ID: 1 to 128 letters, digits"),
        ({"DAGRUN_ORCHESTRATOR": "a"}, "DAGRUN_ORCHESTRATOR: host:port is needed"),
        ({"DAGRUN_ORCHESTRATOR": "a:0"}, "DAGRUN_ORCHESTRATOR: host:port is needed"),
        ({"CAPACITY": "-1"}, "CAPACITY: a number from 1"),
        ({"DAGRUN_LABELS": "zone"}, "DAGRUN_LABELS: name=value is needed"),
        ({"DAGRUN_LABELS": "a=1,a=2"}, "DAGRUN_LABELS: each name once is needed, and 'a'"),
        ({"DAGRUN_RESOURCES": "a=1, a=2"}, "DAGRUN_RESOURCES: each name once is needed, and 'a'"),
        ({"DAGRUN_LABELS": "=a"}, "DAGRUN_LABELS: name=value is needed"),
        ({"DAGRUN_RESOURCES": "gpus=two"}, "DAGRUN_RESOURCES: name=number is needed"),
        ({"DAGRUN_RESOURCES": "gpus=nan"}, "DAGRUN_RESOURCES: name=number is needed"),
        ({"DAGRUN_RESOURCES": "gpus=-1"}, "DAGRUN_RESOURCES: name=number is needed"),
    ],
)
def test_the_same_holds_for_an_engine(environ, message):
    with pytest.raises(ConfigError) as caught:
        engine(**environ)
    assert message in str(caught.value)


def test_a_section_of_the_file_is_not_passed_over_when_a_setting_has_its_name(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text("[orchestrator]\nlease = 3\n")
    with pytest.raises(ConfigError, match="orchestrator is no table: settings stand above all"):
        orchestrator(config=file)


def test_an_interface_of_ipv6_may_stand_in_brackets():
    assert orchestrator(GRPC_ADDRESS="[::1]").grpc_address == "::1"


def test_a_token_that_cannot_be_one_is_not_quoted(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text("token = [12345]\n")
    with pytest.raises(ConfigError) as caught:
        engine(config=file)
    assert "12345" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_empty_stands_for_nothing_where_that_is_possible():
    assert engine(DAGRUN_ORCHESTRATOR="").orchestrator is None
    assert engine(DAGRUN_LABELS="").labels == {}
    assert orchestrator(DAGRUN_ENGINES="").engines == ()


def test_variables_that_kubernetes_makes_of_a_service_are_no_settings():
    orchestrator(DAGRUN_PORT="tcp://10.0.0.1:50051", DAGRUN_GRPC_PORT="tcp://10.0.0.1:50051")
    with pytest.raises(ConfigError, match="did you mean 'PORT'"):
        orchestrator(DAGRUN_PORT="50051")


@pytest.mark.parametrize(
    ("text", "address"),
    [("a.test:1", "a.test:1"), ("[::1]:2", "[::1]:2"), ("10.0.0.1:65535", "10.0.0.1:65535")],
)
def test_an_address_is_a_host_and_a_port(text, address):
    assert engine(DAGRUN_ORCHESTRATOR=text).orchestrator == address


def test_a_store_elsewhere_is_led_where_it_is(tmp_path):
    from dagrun.plugin.loading import load_plugins
    from dagrun.roles.stores import make_store

    registry = load_plugins().registry
    place = make_store(registry, f"sqlite://{tmp_path}/x/y.db", Path("/data"))
    assert place.directory == tmp_path / "x"
    assert make_store(registry, "sqlite:", Path("/data")).directory == Path("/data")
    for wrong in ("sqlite:x.db", "sqlite://x.db", "sqlite:///"):
        with pytest.raises(ConfigError, match="write sqlite:///path"):
            make_store(registry, wrong, Path("/data"))
    with pytest.raises(ConfigError, match="no store is called 'oracle'"):
        make_store(registry, "oracle:x", Path("/data"))


def test_a_token_that_is_no_text_of_unicode_is_not_the_one_of_a_role():
    registry = Registry()
    registry.transports.add("kept", lambda **options: options)
    settings = EngineSettings(token="secret", transport_type="kept")
    accepts = make_transport(registry, settings, port=0)["accepts"]
    assert accepts("secret", Role.ENGINE)
    assert not accepts("\ud800", Role.ENGINE)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1"])
def test_a_token_is_shown_to_this_machine_without_tls(address):
    check_shown(address, "secret", tls=False)


@pytest.mark.parametrize("address", ["10.0.0.1:1", "[2001:db8::1]:1", "orchestrator.example:1"])
def test_a_token_is_shown_to_other_machines_with_tls_only(address):
    check_shown(address, "secret", tls=True)
    check_shown(address, None, tls=False)
    check_shown(address, "secret", tls=False, insecure=True)
    with pytest.raises(ConfigError, match="DAGRUN_TLS_CA"):
        check_shown(address, "secret", tls=False)


def test_no_command_and_no_engine_shows_its_token_to_another_machine_without_tls(tmp_path):
    with pytest.raises(ConfigError, match="without TLS"):
        with_server(ClientSettings(server="10.0.0.1:1", token="secret"), None)
    settings = EngineSettings(orchestrator="10.0.0.1:1", token="secret", data_dir=tmp_path)
    with pytest.raises(ConfigError, match="without TLS"):
        run_engine(settings, insecure=False)

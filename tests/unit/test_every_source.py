"""Each setting of each command can be given by a flag, a variable and the file."""

import attrs
import pytest

from dagrun.errors import ConfigError
from dagrun.settings import Settings
from dagrun.settings.client import ClientSettings
from dagrun.settings.engine import EngineSettings
from dagrun.settings.names import flag_of, variable_of
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read
from dagrun.testing.programs import COMMAND, call

VALUES = {
    "capacity": ("7", "no"),
    "connection_timeout": ("2m", "soon"),
    "data_dir": ("/data", ""),
    "discovery": ("static,dns", None),
    "engine_discovery_interval": ("7", "0"),
    "engine_health_check_interval": ("7", "often"),
    "engine_id": ("seven", "a b"),
    "engines": ("a:1", "a"),
    "grace": ("7", "-1"),
    "grpc_address": ("127.0.0.7", " "),
    "grpc_port": ("7", "65536"),
    "http_allow": ("10.0.0.0/8", "10.0.0.1/8"),
    "k8s_service_name": ("seven", "a/b"),
    "labels": ("a=b", "a"),
    "lease": ("7", "0"),
    "load_balancer_nodes": ("7", "0"),
    "load_balancer_type": ("round-robin", ""),
    "log_format": ("json", "xml"),
    "log_level": ("debug", "loud"),
    "max_connections": ("7", "0"),
    "orchestrator": ("a:1", "a"),
    "parallel": ("7", "0"),
    "paused": ("true", "perhaps"),
    "port": ("7", "-1"),
    "queue_limit": ("7", "0"),
    "resources": ("a=1", "a=b"),
    "retention": ("7d", "long"),
    "secrets_dir": ("/secrets", ""),
    "server": ("a:1", "a"),
    "store": ("memory:", "here"),
    "subscribers": ("log", None),
    "tls_ca": ("/ca", ""),
    "tls_cert": ("/cert", ""),
    "tls_key": ("/key", ""),
    "token": ("t", ""),
    "transport_type": ("memory", ""),
    "workflows": ("/tmp", "/nowhere/at/all"),
}
"""Setting → a value that is not its default, and one that it cannot have; any list is one."""

KINDS = {
    "run": Settings,
    "workflows list": ClientSettings,
    "orchestrator": OrchestratorSettings,
    "engine": EngineSettings,
}
ALL = [(kind, field.name) for kind in KINDS.values() for field in attrs.fields(kind)]


def test_every_setting_is_tried():
    assert {name for _, name in ALL} == set(VALUES)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_flag_a_variable_and_the_file_mean_the_same(tmp_path, kind, name):
    value, _ = VALUES[name]
    (file := tmp_path / "dagrun.toml").write_text(f"{name} = '{value}'\n")
    chosen = [
        read(kind, {name: value}, environ={}),
        read(kind, {}, environ={variable_of(name): value}),
        read(kind, {}, environ={}, config=file),
    ]
    assert len({str(getattr(settings, name)) for settings in chosen}) == 1
    assert getattr(chosen[0], name) != getattr(read(kind, {}, environ={}), name)


@pytest.mark.parametrize(("kind", "name"), [one for one in ALL if VALUES[one[1]][1] is not None])
def test_what_does_not_parse_is_told_under_the_name_that_was_used(tmp_path, kind, name):
    _, wrong = VALUES[name]
    (file := tmp_path / "dagrun.toml").write_text(f"{name} = '{wrong}'\n")
    for source, flags, environ, config in [
        (flag_of(name), {name: wrong}, {}, None),
        (variable_of(name), {}, {variable_of(name): wrong}, None),
        (f"{file}: {name}", {}, {}, file),
    ]:
        with pytest.raises(ConfigError) as caught:
            read(kind, flags, environ=environ, config=config)
        assert str(caught.value).startswith(f"{source}: ")


@pytest.mark.parametrize("command", KINDS)
def test_each_command_has_a_flag_for_each_of_its_settings(tmp_path, command):
    asked = (*COMMAND, *command.split(), "--help")
    shown = call(*asked, folder=tmp_path, COLUMNS="200").stdout
    for field in attrs.fields(KINDS[command]):
        assert flag_of(field.name) in shown.split()
        assert variable_of(field.name) in shown


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["run", "w.yaml"], "DAGRUN_PARALLEL"),
        (["orchestrator"], "GRPC_PORT"),
        (["engine"], "CAPACITY"),
        (["workflows", "list"], "DAGRUN_SERVER"),
        (["runs", "prune"], "DAGRUN_RETENTION"),
    ],
)
def test_a_command_with_a_setting_that_does_not_parse_ends_with_2(tmp_path, command, variable):
    done = call(*COMMAND, *command, folder=tmp_path, **{variable: "no such thing"})
    assert done.returncode == 2
    assert done.stderr.startswith(f"dagrun: {variable}: ")
    assert len(done.stderr.splitlines()) == 1

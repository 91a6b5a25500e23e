"""Flags beat the environment, which beats the file."""

from pathlib import Path

import pytest

from dagrun.errors import ConfigError
from dagrun.settings import default_parallel, read_settings
from dagrun.testing.programs import call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "dagrun.toml"
    path.write_text('data_dir = "/from/file"\nparallel = 3\n')
    return path


def test_a_flag_beats_the_environment_which_beats_the_file(file):
    environ = {"DAGRUN_DATA_DIR": "/from/environment", "DAGRUN_PARALLEL": "5"}
    flags = {"data_dir": Path("/from/flag")}
    settings = read_settings(flags, environ=environ, config=file)
    assert settings.data_dir == Path("/from/flag")
    assert settings.parallel == 5
    assert read_settings({}, environ={}, config=file).data_dir == Path("/from/file")
    assert read_settings({"parallel": None}, environ={}, config=file).parallel == 3


def test_the_file_in_the_working_directory_is_read(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert read_settings({}, environ={}).parallel == 3


def test_without_any_choice_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read_settings({}, environ={"HOME": "/home/me"})
    assert settings.data_dir.name == "dagrun"
    assert settings.parallel == default_parallel() > 0


def test_a_relative_path_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_settings({"data_dir": "here"}, environ={}).data_dir == tmp_path / "here"


@pytest.mark.parametrize(
    ("flags", "environ", "text", "message"),
    [
        ({}, {"DAGRUN_PARALLEL": "many"}, "", "DAGRUN_PARALLEL: a whole number is needed"),
        ({}, {"DAGRUN_PARALLEL": "0"}, "", "DAGRUN_PARALLEL: a number from 1 to 100000"),
        ({"parallel": 0}, {}, "", "--parallel: a number from 1"),
        ({}, {"DAGRUN_DATA_DIR": ""}, "", "DAGRUN_DATA_DIR: a path is needed"),
        ({}, {}, "parallel = true", "dagrun.toml: parallel: a whole number is needed"),
        ({}, {}, "paralel = 1", "there is no setting 'paralel' (did you mean 'parallel'?)"),
        ({}, {}, "parallel =", "dagrun.toml: "),
        ({"http_allow": "a,*"}, {}, "", "--http-allow: '*' is no host"),
        (
            {},
            {"DAGRUN_HTTP_ALLOW": "10.0.0.1/8"},
            "",
            "DAGRUN_HTTP_ALLOW: 10.0.0.1/8 has host bits",
        ),
        ({}, {}, "http_allow = 3", "dagrun.toml: http_allow: hosts, addresses or networks"),
        ({}, {}, "http_allow = [3]", "dagrun.toml: http_allow: hosts, addresses or networks"),
    ],
)
def test_what_does_not_parse_is_named_after_its_source(tmp_path, flags, environ, text, message):
    path = tmp_path / "dagrun.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings(flags, environ=environ, config=path)
    assert message in str(caught.value)


def test_the_file_with_what_does_not_parse_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("dagrun.toml", "mine.toml"):
        Path(name).write_text("parallel = true")
    with pytest.raises(ConfigError, match=r"^dagrun\.toml: parallel: "):
        read_settings({}, environ={})
    with pytest.raises(ConfigError, match=r"^mine\.toml: parallel: "):
        read_settings({}, environ={}, config=Path("mine.toml"))


def test_a_file_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_settings({}, environ={}, config=tmp_path / "none.toml")


def test_the_time_for_a_shutdown_is_a_number_of_seconds_or_a_duration():
    for text, seconds in [("5", 5), ("0.5", 0.5), ("2m", 120), ("0", 0)]:
        assert read_settings({}, environ={"DAGRUN_GRACE": text}).grace == seconds
    with pytest.raises(
        ConfigError,
        match="DAGRUN_GRACE: seconds are needed, or a duration such as '1m', not 'soon'",
    ):
        read_settings({}, environ={"DAGRUN_GRACE": "soon"})


def test_a_variable_that_is_nearly_a_setting_is_refused_and_others_are_not():
    with pytest.raises(ConfigError, match=r"DAGRUN_DATADIR.*did you mean 'DAGRUN_DATA_DIR'"):
        read_settings({}, environ={"DAGRUN_DATADIR": "/x"})
    node = {
        "DAGRUN_TRACE": "1",
        "DAGRUN_RUN_ID": "r",
        "DAGRUN_ATTEMPT": "1",
        "DAGRUN_SERVICE_HOST": "10.0.0.1",
    }
    read_settings({}, environ=node)


def test_what_http_nodes_may_reach_is_a_list_or_a_text_with_commas(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text('http_allow = ["db.test", "10.0.0.0/8"]')
    assert read_settings({}, environ={}, config=file).http_allow == ("db.test", "10.0.0.0/8")
    environ = {"DAGRUN_HTTP_ALLOW": " localhost:80, ,[::1]:443 "}
    assert read_settings({}, environ=environ, config=file).http_allow == (
        "localhost:80",
        "[::1]:443",
    )
    assert read_settings({"http_allow": ""}, environ=environ, config=file).http_allow == ()


def test_secrets_of_any_name_are_no_misspelt_settings():
    settings = read_settings({}, environ={"DAGRUN_SECRET_DIR": "x", "DAGRUN_SECRET_GRACE": "y"})
    assert settings.secrets_dir is None
    assert read_settings({}, environ={"DAGRUN_SECRETS_DIR": "/run"}).secrets_dir == Path("/run")


def test_a_run_in_this_process_loads_nothing_that_only_the_roles_need(tmp_path):
    code = (
        "import sys, dagrun.cli.run\n"
        "from dagrun.plugin.loading import load_plugins\n"
        "from dagrun.settings import read_settings\n"
        "load_plugins(), read_settings({}, environ={})\n"
        "print(*(name for name in sys.modules if 'frames' in name or 'structlog' in name\n"
        "        or name.startswith(('dagrun.settings.', 'dagrun_grpc.', 'grpclib'))))\n"
    )
    loaded = set(call("-c", code, folder=tmp_path).stdout.split())
    assert loaded == {"dagrun.settings.names", "dagrun.settings.parse", "dagrun.settings.reading"}

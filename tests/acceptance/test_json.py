"""``--json`` of every command: standard output holds JSON and nothing else, whatever happens."""

import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import pytest

from dagrun.cli.app import app, run_command
from dagrun.plugin import loading

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"
WAITS = """
  handlers:
    exit: {executor: {type: python, callable: "talkative:talk", isolation: inline}}
  nodes: [{id: a, executor: {type: shell, command: "echo up; until test -e %s; do sleep 0.05; done"}}]
"""
FILES = {
    "talkative.py": "def talk():\n    print('hello from the handler')\n    return {}\n",
    "w.yaml": HEAD + "  nodes: [{id: a, executor: {type: shell, command: 'echo text'}}]\n",
    "fails.yaml": HEAD + "  nodes: [{id: a, executor: {type: shell, command: 'exit 3'}}]\n",
    "wrong.yaml": HEAD + "  nodes: 7\n",
}
CASES = {
    "run": (["w.yaml"], ["fails.yaml"], ["wrong.yaml"], ["--resume", "{cut off}"]),
    "validate": (["w.yaml"], ["wrong.yaml", "w.yaml"]),
    "runs list": ([], ["--status", "running"], ["--limit", "0"]),
    "runs show": (["{ended}"], ["{cut off}"]),
    "runs logs": (["{ended}"], ["{cut off}", "a"], ["{ended}", "b"]),
    "runs logs -f": (["{ended}"], ["{cut off}", "a"]),
    "runs watch": (["{ended}"], ["{cut off}"]),
    "runs cancel": (["{ended}"], ["{cut off}"]),
    "runs pause": (["{ended}"], ["{cut off}"]),
    "runs resume": (["{ended}"], ["{cut off}"]),
    "runs retry": (["{ended}"], ["{cut off}"]),
    "runs rerun": (["{ended}"], ["{ended}", "--from", "b"], ["{cut off}"]),
    "runs explain": (["{ended}"], ["{cut off}"]),
    "runs start": (["w"],),
    "runs tree": (["{ended}"], ["{cut off}"]),
    "workflows register": (["w.yaml"], ["wrong.yaml"], ["w.yaml", "--metadata", "none"]),
    "workflows list": ([], ["--limit", "0"]),
    "workflows versions": (["w"],),
    "workflows show": (["w"], ["w", "2.0.0"]),
    "workflows diff": (["w", "1.0.0"],),
    "workflows delete": (["w"], ["w", "1.0.0", "--force"]),
    "engines list": ([], ["--server", "127.0.0.1:1"], ["--server", "nowhere"]),
    "engines drain": (["e1"],),
    "engines undrain": (["e1"],),
    "tokens create": (["viewer"], ["boss"]),
    "tokens list": ([],),
    "tokens revoke": (["none"],),
    "runs prune": ([], ["--older-than", "0s"], ["--older-than", "soon"]),
    "events": ([], ["--severity", "error"], ["--severity", "loud"]),
    "backup": (["copy.db"], ["w.yaml"], ["w.yaml", "--restore"]),
    "plugins": ([],),
}
"""Command → what is asked of it: what it does, and what it refuses."""

NEEDED = {
    "run": ["w.yaml"],
    "validate": ["w.yaml"],
    "backup": ["copy.db"],
    "workflows register": ["w.yaml"],
    "workflows versions": ["w"],
    "workflows show": ["w"],
    "workflows diff": ["w", "1.0.0"],
    "workflows delete": ["w"],
    "tokens create": ["viewer"],
    "tokens revoke": ["none"],
    "engines drain": ["e1"],
    "engines undrain": ["e1"],
}
"""What a command needs beside options; those under ``runs`` take the id of a run."""

OF_SERVERS = {"runs start", "engines list", "engines drain", "engines undrain"}
"""Commands that have no use for a data directory."""

LISTS = {"events", "runs list", "runs prune", "workflows list", "tokens list"}
"""Commands that need nothing beside options, and look into the data directory."""

MANY = {"events", "runs logs -f", "runs watch"}
"""Commands that give one object a line, or none."""


def knows_json(parameter):
    """Whether a command's parameter is the flag, or has it among others."""
    return parameter.name == "json" or hasattr(parameter.annotation, "json")


def commands(of, *path):
    """List the commands that know ``--json``."""
    for name in of:
        inner = of[name]
        if inner.default_command is None:
            yield from commands(inner, *path, name)
        elif any(map(knows_json, inspect.signature(inner.default_command).parameters.values())):
            yield " ".join((*path, name))


ALL = sorted(commands(app))


def check(command, stdout):
    """Give what is printed, which must be JSON."""
    objects = [json.loads(line) for line in stdout.splitlines()]
    assert all(isinstance(found, dict) for found in objects)
    assert command in MANY or len(objects) == 1
    return objects


def wait_for_another(logs, run_id):
    """Give the run that has logs beside one that is known."""
    end = time.monotonic() + 20
    while not (found := {path.name for path in logs.iterdir()} - {run_id}):
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.05)
    return found.pop()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Make a folder with a run that has ended and one that was cut off; give it, and their ids."""
    folder = tmp_path_factory.mktemp("house")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "waits.yaml").write_text(HEAD + WAITS % (folder / "go"))
    argv = [sys.executable, "-m", "dagrun", "run", "--json"]
    env = {**os.environ, "DAGRUN_DATA_DIR": str(folder / "data")}
    done = subprocess.run(
        [*argv, folder / "w.yaml"], capture_output=True, timeout=60, check=True, env=env
    )
    ids = {"ended": json.loads(done.stdout)["run_id"]}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*argv, folder / "waits.yaml"], env=env, **quiet) as process:
        try:
            found = wait_for_another(folder / "data" / "logs", ids["ended"])
        finally:
            process.kill()
    (folder / "go").touch()
    return folder, {**ids, "cut off": found}


@pytest.fixture
def ids(house, tmp_path):
    """Give the test's own copy of the folder to the commands, and the ids of its runs."""
    folder, found = house
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
    return found


def test_there_are_cases_for_all_commands():
    assert {command.removesuffix(" -f") for command in CASES} == set(ALL)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(command, arguments) for command in CASES for arguments in CASES[command]],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_a_command_does_or_refuses_is_told_in_json_only(dagrun, ids, command, arguments):
    given = [argument.format_map(ids) for argument in arguments]
    done = dagrun(*command.split(), *given, "--json")
    assert done.returncode in (0, 1, 2, 3), done.stderr
    found = check(command, done.stdout)
    assert done.returncode not in (2, 3) or command == "validate" or "error" in found[0]


@pytest.mark.parametrize("command", ALL)
def test_a_wrong_option_and_wrong_settings_are_refused_in_json(capsys, tmp_path, command):
    bad = tmp_path / "bad.toml"
    bad.write_text("data_dir = [")
    needed = NEEDED.get(command, [])
    settings = [] if command in ("plugins", "validate") else [["--config", str(bad)]]
    if command.startswith("runs") and command.split()[1] not in ("list", "prune"):
        needed = ["0unknown"]
        if command not in OF_SERVERS:
            settings.append(["--data-dir", str(tmp_path / "nothing")])
    for wrong in (["--nonsense"], *settings):
        for flag in ("--json", "--json=true", "--json=Yes", "--json=1"):
            assert run_command([*command.split(), *needed, flag, *wrong]) == 2
            (found,) = check("", capsys.readouterr().out)
            assert set(found) == {"error"}


@pytest.mark.parametrize("command", sorted(set(ALL) - {"plugins", "validate", *OF_SERVERS}))
def test_a_damaged_database_is_told_of_in_json(dagrun, tmp_path, command):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dagrun.db").write_bytes(b"garbage" * 1000)
    (tmp_path / "w.yaml").write_text(FILES["w.yaml"])
    needed = [] if command in LISTS else NEEDED.get(command, ["0unknown"])
    done = dagrun(*command.split(), *needed, "--json")
    (found,) = check("", done.stdout)
    assert found["error"]["type"] == "store_corrupt"


@pytest.mark.parametrize("command", [["plugins"], ["validate", "w.yaml"]])
def test_what_a_plugin_prints_when_it_is_loaded_does_not_get_into_the_result(
    capsys, monkeypatch, tmp_path, command
):
    plugin = (
        "from dagrun.plugin.hookspecs import hookimpl\n"
        "print('HELLO')\n"
        "@hookimpl\n"
        "def dagrun_register(registry): pass\n"
    )
    (tmp_path / "shouting.py").write_text(plugin)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        loading, "entry_points", lambda group: [EntryPoint("loud", "shouting", group)]
    )
    monkeypatch.delitem(sys.modules, "shouting", raising=False)
    run_command([*command, "--json"])
    said = capsys.readouterr()
    check(command[0], said.out)
    assert said.err == "HELLO\n"

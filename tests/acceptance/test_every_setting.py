"""Each setting changes something that can be seen of ``dagrun run``."""

import json
import shutil
import signal
from pathlib import Path

import attrs
import pytest

from dagrun.roles.local import DATABASE, LOGS
from dagrun.settings import PREFIX, Settings
from dagrun.testing.http_server import answer, serving
from dagrun.testing.programs import COMMAND, Program, call, launching, until

SLEEPERS = """
    - {id: a, executor: {type: shell, command: [sleep, "0.3"]}}
    - {id: b, executor: {type: shell, command: [sleep, "0.3"]}}
"""
WARNING = """
import logging

async def warn():
    logging.getLogger("dagrun.mine").warning("take care")
"""
DEAF = """
    - id: deaf
      kill_after: 1m
      executor:
        type: shell
        code: |
          trap 'sleep 0.3; echo late; exit' TERM
          echo deaf
          sleep 60 &
          wait
"""
ASKS = """
    - {id: ask, executor: {type: http, url: SITE}}
"""
KNOWS = """
    - id: knows
      secrets: {WHOLE: "file:w.yaml"}
      executor: {type: shell, code: "true"}
"""
WARNS = """
    - {id: warn, executor: {type: python, callable: "warns:warn", isolation: inline}}
"""
HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n  nodes:"


def databases(folder: Path, process: Program) -> list[Path]:
    process.communicate(timeout=60)
    return list(folder.rglob(DATABASE))


def both_at_once(folder: Path, process: Program) -> bool:
    a, b = json.loads(process.communicate(timeout=60)[0])["nodes"]
    return max(a["started_at"], b["started_at"]) < min(a["finished_at"], b["finished_at"])


def last_words(folder: Path, process: Program) -> str:
    """Give what the node says when the process is told to end."""
    logs = folder / "data" / LOGS
    until(lambda: list(logs.rglob("*.log")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return "".join(log.read_text() for log in logs.rglob("*.log"))


def kept(folder: Path, process: Program) -> int:
    """Give how many runs are kept. A run is old as soon as it has ended, if nothing is kept."""
    process.communicate(timeout=60)
    listed = call(*COMMAND, "runs", "list", "--json", folder=folder)
    return len(json.loads(listed.stdout)["items"])


def answered(folder: Path, process: Program) -> bool:
    printed = json.loads(process.communicate(timeout=60)[0])
    if "error" in printed and "nodes" not in printed:
        return False
    (node,) = printed["nodes"]
    return node["error"] is None


def logged(folder: Path, process: Program) -> list[tuple[str, bool]]:
    """Give what is seen of the warning that the node logs, if anything is."""
    lines = process.communicate(timeout=60)[1].splitlines()
    return [(line[:1], "dagrun.mine" in line) for line in lines if "take care" in line]


PROBES = {
    "data_dir": (["data", "elsewhere"], SLEEPERS, databases),
    "parallel": (["1", "2"], SLEEPERS, both_at_once),
    "grace": (["0.05", "9s"], DEAF, last_words),
    "retention": (["0", "forever"], SLEEPERS, kept),
    "http_allow": (["10.0.0.0/8", "127.0.0.1"], ASKS, answered),
    "log_format": (["console", "json"], WARNS, logged),
    "log_level": (["warning", "error"], WARNS, logged),
    "secrets_dir": (["elsewhere", "."], KNOWS, answered),
}
"""Setting → two values, a document, and what differs."""


def test_every_setting_has_a_probe():
    assert set(PROBES) == {field.name for field in attrs.fields(Settings)}


@pytest.fixture(scope="module")
def site():
    with serving({"*": answer("come in")}) as server:
        yield server.url


@pytest.mark.parametrize("name", PROBES)
def test_changing_a_setting_changes_what_is_seen(tmp_path, site, name):
    values, nodes, sees = PROBES[name]
    seen = []
    for value in values:
        (folder := tmp_path / "here").mkdir()
        (folder / "warns.py").write_text(WARNING)
        (folder / "w.yaml").write_text(HEAD + nodes.replace("SITE", site))
        with launching(folder) as launch:
            process = launch(*COMMAND, "run", "w.yaml", "--json", **{PREFIX + name.upper(): value})
            seen.append(sees(folder, process))
        shutil.rmtree(folder)
    assert seen[0] != seen[1]

"""Each setting changes something that can be seen of ``dagrun run``."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from dagrun.roles.local import DATABASE, LOGS
from dagrun.settings import PREFIX, Settings

SLEEPERS = """
    - {id: a, executor: {type: shell, command: [sleep, "0.3"]}}
    - {id: b, executor: {type: shell, command: [sleep, "0.3"]}}
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
READER = """
    - {id: a, secrets: {DOCUMENT: "file:w.yaml"}, executor: {type: shell, command: exit 0}}
"""
HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n  nodes:"


def databases(folder: Path, process: subprocess.Popen[str]) -> list[Path]:
    process.communicate(timeout=60)
    return list(folder.rglob(DATABASE))


def both_at_once(folder: Path, process: subprocess.Popen[str]) -> bool:
    a, b = json.loads(process.communicate(timeout=60)[0])["nodes"]
    return max(a["started_at"], b["started_at"]) < min(a["finished_at"], b["finished_at"])


def last_words(folder: Path, process: subprocess.Popen[str]) -> str:
    """Give what the node says when the process is told to end."""
    logs = folder / "data" / LOGS
    while not list(logs.rglob("*.log")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return "".join(log.read_text() for log in logs.rglob("*.log"))


def status(folder: Path, process: subprocess.Popen[str]) -> str:
    return json.loads(process.communicate(timeout=60)[0])["status"]


PROBES = {
    "data_dir": (["data", "elsewhere"], SLEEPERS, databases),
    "parallel": (["1", "2"], SLEEPERS, both_at_once),
    "grace": (["0.05", "9s"], DEAF, last_words),
    "secrets_dir": ([".", "elsewhere"], READER, status),
}
"""Setting → two values, a document, and what differs."""


def test_every_setting_has_a_probe():
    assert set(PROBES) == {field.name for field in attrs.fields(Settings)}


@pytest.mark.parametrize("name", PROBES)
def test_changing_a_setting_changes_what_is_seen(tmp_path, name):
    values, nodes, sees = PROBES[name]
    seen = []
    for value in values:
        (folder := tmp_path / "here").mkdir()
        (folder / "w.yaml").write_text(HEAD + nodes)
        process = subprocess.Popen(
            [sys.executable, "-m", "dagrun.cli", "run", "w.yaml", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env={**os.environ, "DAGRUN_DATA_DIR": "data", PREFIX + name.upper(): value},
        )
        seen.append(sees(folder, process))
        shutil.rmtree(folder)
    assert seen[0] != seen[1]

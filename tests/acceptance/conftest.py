"""The commands as separate processes, for all acceptance tests."""

import os
import subprocess
import sys

import pytest

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


@pytest.fixture
def dagrun(tmp_path):
    """Call a command on a data directory of the test's own."""

    def call(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "dagrun.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "DAGRUN_DATA_DIR": str(tmp_path / "data")},
            timeout=60,
            check=False,
            **options,
        )

    return call


@pytest.fixture
def start(tmp_path):
    """Start a command that goes on; it is killed with the test."""
    started = []

    def call(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "dagrun.cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "DAGRUN_DATA_DIR": str(tmp_path / "data")},
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def write(tmp_path):
    """Write a document whose ``spec`` is given."""

    def make(spec, name="w.yaml"):
        file = tmp_path / name
        file.write_text(HEAD + spec)
        return file

    return make

"""The commands as separate processes, for all acceptance tests."""

import pytest

from dagrun.testing.programs import COMMAND, call

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


@pytest.fixture
def dagrun(tmp_path):
    """Call a command on a data directory of the test's own."""
    return lambda *arguments: call(*COMMAND, *arguments, folder=tmp_path)


@pytest.fixture
def start(launch):
    """Start a command that goes on; it is killed with the test."""
    return lambda *arguments, **environment: launch(*COMMAND, *arguments, **environment)


@pytest.fixture
def write(tmp_path):
    """Write a document whose ``spec`` is given."""

    def make(spec, name="w.yaml"):
        file = tmp_path / name
        file.write_text(HEAD + spec)
        return file

    return make

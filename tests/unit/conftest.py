"""What modules of unit tests share that are about one thing."""

import sys

import pytest

from dagrun.testing.python_nodes import MODULE, python_nodes
from dagrun.testing.scripted import open_rig


@pytest.fixture
async def rig(tmp_path, autojump_clock):
    """Run an engine whose nodes do what they are told; modules about other things have their own."""
    async with open_rig(tmp_path) as rig:
        yield rig


@pytest.fixture
async def run(tmp_path, monkeypatch):
    """Give a function that executes a Python node; the workers live as long as the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    async with python_nodes(tmp_path) as execute:
        yield execute

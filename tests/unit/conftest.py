"""What modules of unit tests share that are about one thing."""

import pytest

from dagrun.testing.scripted import open_rig


@pytest.fixture
async def rig(tmp_path, autojump_clock):
    """Run an engine whose nodes do what they are told; modules about other things have their own."""
    async with open_rig(tmp_path) as rig:
        yield rig

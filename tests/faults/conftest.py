"""What fault tests share."""

from functools import partial

import pytest

from dagrun.testing.elsewhere import elsewhere


@pytest.fixture
def opened(tmp_path, launch):
    """Open an orchestrator in this process, on any free port, which can start engines elsewhere."""
    return partial(elsewhere, tmp_path, launch)

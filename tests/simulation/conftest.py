"""What tests of simulated histories share."""

import logging
import sys

import pytest


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """Silence what is said of each fault; it is what was asked for."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def untraced():
    """Do not measure the coverage: that takes more time than the histories, and other tests do."""
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)

"""What all tests share."""

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from dagrun.testing.programs import launching

settings.register_profile("busy", deadline=None)  # a busy machine is no fault of an example
settings.load_profile("busy")

ROOT = Path(__file__).parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As behind `tox &` in a script; the programs that tests start would never hear of Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--full", action="store_true", help="let monkeys rage for as long as the promises say"
    )


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, so that nobody waits for it in the end."""
    items.sort(key=lambda item: "simulation" not in item.path.parts)


@pytest.fixture
def monkey_seconds(request):
    """For how long monkeys rage: a minute with ``--full``."""
    return 60 if request.config.getoption("--full") else 15


@pytest.fixture
def launch(tmp_path):
    """Start Python programs in the test's folder; they are killed with the test."""
    with launching(tmp_path) as start:
        yield start


@pytest.fixture(autouse=True)
def _measure_the_guard(monkeypatch):
    """Under coverage, let the guards that this process starts be measured, too."""
    if "coverage" not in sys.modules:
        return
    from dagrun.services import processes

    measured = ("-m", "coverage", "run", f"--rcfile={ROOT / 'pyproject.toml'}", "--parallel-mode")
    places = (f"--data-file={ROOT / '.coverage'}", f"--source={ROOT / 'src' / 'dagrun'}")
    command = (sys.executable, *measured, *places, "-m", "dagrun.services.guard.keeper")
    monkeypatch.setattr(processes, "COMMAND", command)

"""The commands as separate processes, and an environment with plugins, for all acceptance tests."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from dagrun.testing.programs import COMMAND, call

ROOT = Path(__file__).parents[2]

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


def is_ours(path: Path) -> bool:
    """Whether a test run does not make it itself."""
    return path.is_file() and not {"__pycache__", "build"} & set(path.parts)


def files() -> set[Path]:
    folders = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    return {path for folder in folders for path in (folder, *folder.rglob("*")) if is_ours(path)}


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@attrs.frozen
class Environment:
    """A Python environment of its own, with a home."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def bin(self) -> Path:
        return self.root / "venv" / "bin"

    def run(self, *command: object, cwd: Path | None = None, **variables: object):
        """Run a program of the environment with nothing of our variables."""
        own = {"PATH": f"{self.bin}:{os.defpath}", "HOME": self.home, "LANG": "C.UTF-8"}
        return subprocess.run(
            [str(self.bin / str(command[0])), *map(str, command[1:])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cwd or self.home,
            env={name: str(value) for name, value in {**own, **variables}.items()},
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Give an environment with wheels of all; the workers of a test run share one."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    found = Environment(base / "environment")
    with (base / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.root.exists():
            install(found)
    return found


def install(found: Environment) -> None:
    """Build wheels, and install them with what they need, the tests' tools among it."""
    before = files()
    found.home.mkdir(parents=True)
    wheels = found.root / "wheels"
    places = ("plugins/*/pyproject.toml", "examples/*/pyproject.toml")
    packages = sorted(path.parent for place in places for path in ROOT.glob(place))
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT, *packages)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", found.root / "venv"],
        check=True,
        timeout=120,
    )
    built = sorted(wheels.glob("*.whl"))
    tools = ("pytest", "pytest-trio")
    target = ("--python", found.bin / "python")
    pip(*target, "install", "--no-compile", "-c", ROOT / "constraints.txt", *built, *tools)
    assert files() == before


@pytest.fixture(scope="session", name="is_ours")
def _is_ours():
    """Whether a file of the checkout is not made by a test run itself."""
    return is_ours


@pytest.fixture(scope="session")
def files_of_the_checkout():
    """Look which files there are."""
    return files

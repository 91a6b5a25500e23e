"""A plugin of somebody else: installed in an environment of its own, and found and used there.

The wheels of the core, of all plugins and of the example are built and installed as a user would
have them. Then somebody follows the page that tells how the example is made.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin"
PAGE = ROOT / "docs" / "plugins.md"

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . ./plugins/*/ "
    "-e '../dagrun-example[tests]'"
)
"""Left out of what is typed: the environment is there, made from wheels instead."""

VARIES = (
    (r"\b[0-9a-v]{26}\b", "RUN"),
    (r" *\b\d+\.\d+s\b", " TIME"),
    (r"\b\d+ passed", "N passed"),
)


pytestmark = pytest.mark.timeout(900)  # pip builds and installs for the first of them


def is_ours(path: Path) -> bool:
    """Whether a test run does not make it itself."""
    return path.is_file() and not {"__pycache__", "build"} & set(path.parts)


def files_of_the_checkout() -> set[Path]:
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


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Build wheels, and install them with what they need, the tests' tools among it."""
    before = files_of_the_checkout()
    found = Environment(tmp_path_factory.mktemp("environment"))
    found.home.mkdir()
    wheels = found.root / "wheels"
    plugins = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT, *plugins, EXAMPLE)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", found.root / "venv"],
        check=True,
        timeout=120,
    )
    built = sorted(wheels.glob("*.whl"))
    tools = ("pytest", "pytest-trio")
    target = ("--python", found.bin / "python")
    pip(*target, "install", "--no-compile", "-c", ROOT / "constraints.txt", *built, *tools)
    yield found
    assert files_of_the_checkout() == before


def test_the_environment_has_nothing_of_the_checkout(environment):
    code = "import dagrun, dagrun_lua, dagrun_example as e; print(dagrun.__file__, e.__file__)"
    done = environment.run("python", "-c", code)
    assert done.stderr == ""
    for place in done.stdout.split():
        assert Path(place).is_relative_to(environment.root)


def test_the_plugin_is_listed_with_what_it_offers(environment):
    done = environment.run("dagrun", "plugins", "--json")
    items = {item["name"]: item for item in json.loads(done.stdout)["items"]}
    assert items["example"] == {
        "name": "example",
        "distribution": "dagrun-example",
        "version": "0.1.0",
        "error": None,
        "offers": {"executor": ["awk", "sqlite"], "balancer": ["pinned"]},
    }
    assert {"builtin", "cron", "lua"} <= set(items)
    assert [item["error"] for item in items.values()] == [None] * len(items)


def test_a_document_runs_with_its_executor(environment):
    document = EXAMPLE / "orders.yaml"
    done = environment.run("dagrun", "run", document, "--input", "least=25", "--json")
    result = json.loads(done.stdout)
    assert result["outputs"] == {"customers": [{"customer": "ada", "spent": 35.0}]}
    logs = environment.run("dagrun", "runs", "logs", result["run_id"], "spent")
    assert re.search(r"1 rows from .*shop\.db", logs.stdout)


ENDLESS = """\
apiVersion: dagrun/v1
kind: Workflow
metadata: {id: endless, version: 1.0.0}
spec:
  nodes:
    - id: shop
      executor: {type: shell, command: [touch, "${inputs.database}"]}
    - id: ask
      dependencies: [shop]
      executor:
        type: sqlite
        database: "${inputs.database}"
        query: with recursive n(i) as (values(1) union all select i + 1 from n) select max(i) from n
      timeout: 200ms
"""


def test_a_query_that_never_ends_is_stopped_by_the_timeout(environment, tmp_path):
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    given = ("--input", f"database={tmp_path}/empty.db", "--json")
    done = environment.run("dagrun", "run", tmp_path / "endless.yaml", *given)
    assert done.returncode == 1
    assert json.loads(done.stdout)["nodes"][1]["error"]["type"] == "timeout"


def test_its_own_tests_pass_there(environment, tmp_path):
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
    done = environment.run("python", "-m", "pytest", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


@attrs.frozen
class Block:
    """A fenced block of the page."""

    language: str
    text: str
    file: str | None
    """What the line before it says it is, if that is a file."""


def parse() -> Iterator[Block]:
    end, page = 0, PAGE.read_text()
    for found in FENCED.finditer(page):
        named = re.search(r"`([\w./-]+)`:\n\n\Z", page[end : found.start()])
        yield Block(found[1], found[2], named[1] if named else None)
        end = found.end()


BLOCKS = list(parse())
FILES = {block.file: block.text for block in BLOCKS if block.file}
STEPS = [block for block in BLOCKS if not block.file and block != BLOCKS[0]]


def test_the_files_of_the_page_are_those_of_the_example():
    whole = {str(path.relative_to(EXAMPLE)): path for path in EXAMPLE.rglob("*") if is_ours(path)}
    assert {name: whole[name].read_text() for name in FILES} == FILES
    assert set(whole) - set(FILES) == {"README.md", "src/dagrun_example/py.typed"}


def test_the_picture_of_the_folder_shows_every_file():
    shown = re.findall(r"[\w.-]+\.\w+", BLOCKS[0].text)
    assert sorted(shown) == sorted(path.name for path in EXAMPLE.rglob("*") if is_ours(path))


def test_what_is_no_file_is_typed_or_printed():
    assert [block.language for block in STEPS] == ["sh", "text"] * (len(STEPS) // 2)
    assert sum(INSTALL in block.text for block in STEPS) == 1


def without_what_varies(text: str) -> str:
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text


def test_a_reader_gets_what_the_page_shows(environment, tmp_path):
    (tmp_path / "dagrun").mkdir()
    (tmp_path / "dagrun" / ".venv").symlink_to(environment.root / "venv")
    shutil.copytree(EXAMPLE, tmp_path / "dagrun-example", ignore=shutil.ignore_patterns("__*__"))
    mark = "= next step ="
    script = f"\necho '{mark}'\n".join(block.text for block in STEPS[::2])
    done = subprocess.run(
        ["/bin/bash", "-c", script.replace(INSTALL, "true")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "HOME": str(environment.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(tmp_path / "dagrun-example" / "src"),  # what -e comes to
        },
        timeout=120,
        check=False,
    )
    printed = [without_what_varies(text) for text in done.stdout.split(f"{mark}\n")]
    assert printed == [without_what_varies(block.text) for block in STEPS[1::2]]

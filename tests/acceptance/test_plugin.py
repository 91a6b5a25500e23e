"""Plugins of somebody else: installed in an environment of their own, and found and used there.

The wheels of the core, of all plugins and of the examples are built and installed as a user would
have them. Then somebody follows the pages that tell how the examples are made.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from dagrun.testing.roles import free_port

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin"

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . ./plugins/*/ "
    "-e '../{folder}[tests]'"
)
"""Left out of what is typed: the environment is there, made from wheels instead."""

PORT = re.compile(r"\b508\d\d\b")
VARIES = (
    (r"\b[0-9a-v]{26}\b", "RUN"),
    (r" *\b\d+\.\d+s\b", " TIME"),
    (r"\b\d+ passed", "N passed"),
)


pytestmark = pytest.mark.timeout(900)  # pip builds and installs for the first of them


@pytest.fixture(scope="module", autouse=True)
def _untouched(files_of_the_checkout):
    """Nothing that is done here leaves something in the checkout."""
    before = files_of_the_checkout()
    yield
    assert files_of_the_checkout() == before


def test_the_environment_has_nothing_of_the_checkout(environment):
    names = "dagrun, dagrun_lua, dagrun_example, dagrun_engines"
    code = f"import {names}; print(*(module.__file__ for module in ({names})))"
    done = environment.run("python", "-c", code)
    assert done.stderr == ""
    for place in done.stdout.split():
        assert Path(place).is_relative_to(environment.root)


def test_the_plugins_are_listed_with_what_they_offer(environment):
    done = environment.run("dagrun", "plugins", "--json")
    items = {item["name"]: item for item in json.loads(done.stdout)["items"]}
    assert items["example"] == {
        "name": "example",
        "distribution": "dagrun-example",
        "version": "0.1.0",
        "error": None,
        "offers": {"executor": ["awk", "sqlite"], "balancer": ["pinned"]},
    }
    assert items["engines"]["offers"] == {
        "transport": ["json"],
        "discovery": ["file"],
        "subscriber": ["file"],
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


@attrs.frozen
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    file: str | None
    """What the line before it says it is, if that is a file."""


class Guide:
    """A page that makes an example, step by step.

    Args:
        page: its name.
        example: the folder of the example.
        folder: what the page calls the folder.
        package: what Python imports.
    """

    def __init__(self, page: str, example: str, folder: str, package: str) -> None:
        self.example = ROOT / "examples" / example
        self.folder = folder
        self.package = package
        self.blocks = list(parse((ROOT / "docs" / page).read_text()))
        self.files = {block.file: block.text for block in self.blocks if block.file}
        self.steps = [block for block in self.blocks[1:] if not block.file]
        self.install = INSTALL.format(folder=folder)


def parse(page):
    """Give the fenced blocks of a page."""
    end = 0
    for found in FENCED.finditer(page):
        named = re.search(r"`([\w./-]+)`:\n\n\Z", page[end : found.start()])
        yield Block(found[1], found[2], named[1] if named else None)
        end = found.end()


GUIDES = [
    Guide("plugins.md", "plugin", "dagrun-example", "dagrun_example"),
    Guide("plugins-engines.md", "plugin-engines", "dagrun-engines", "dagrun_engines"),
]
each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.package)


@each_guide
def test_the_files_of_the_page_are_those_of_the_example(guide, is_ours):
    there = [path for path in guide.example.rglob("*") if is_ours(path)]
    whole = {str(path.relative_to(guide.example)): path for path in there}
    assert {name: whole[name].read_text() for name in guide.files} == guide.files
    assert set(whole) - set(guide.files) == {"README.md", f"src/{guide.package}/py.typed"}


@each_guide
def test_the_picture_of_the_folder_shows_every_file(guide, is_ours):
    shown = re.findall(r"[\w.-]+\.\w+", guide.blocks[0].text)
    there = sorted(path.name for path in guide.example.rglob("*") if is_ours(path))
    assert sorted(shown) == there


@each_guide
def test_what_is_no_file_is_typed_or_printed(guide):
    languages = [block.language for block in guide.steps]
    assert languages == ["sh", "text"] * (len(guide.steps) // 2)
    assert sum(guide.install in block.text for block in guide.steps) == 1


def without_what_varies(text: str) -> str:
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text


def with_free_ports(script: str) -> str:
    ports = {port: str(free_port()) for port in PORT.findall(script)}
    return PORT.sub(lambda found: ports[found[0]], script)


@each_guide
def test_a_reader_gets_what_the_page_shows(guide, environment, tmp_path):
    (tmp_path / "dagrun").mkdir()
    (tmp_path / "dagrun" / ".venv").symlink_to(environment.root / "venv")
    folder = tmp_path / guide.folder
    shutil.copytree(guide.example, folder, ignore=shutil.ignore_patterns("__*__"))
    mark = "= next step ="
    script = f"\necho '{mark}'\n".join(block.text for block in guide.steps[::2])
    reader = subprocess.Popen(
        ["/bin/bash", "-c", with_free_ports(script.replace(guide.install, "true"))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "HOME": str(environment.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(folder / "src"),  # what -e comes to
        },
        start_new_session=True,  # so that what it leaves behind ends with it
    )
    try:
        out, _ = reader.communicate(timeout=120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(reader.pid, signal.SIGKILL)
        reader.communicate()
    printed = [without_what_varies(text) for text in out.split(f"{mark}\n")]
    assert printed == [without_what_varies(block.text) for block in guide.steps[1::2]]

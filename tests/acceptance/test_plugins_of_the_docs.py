"""The plugins that the architecture shows in full work when they are installed.

They are put where Python finds them, with the entry points that the page says. What pip would do in
between asks the package index.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
DOCUMENT = """
apiVersion: dagrun/v1
kind: Workflow
metadata: {id: w, version: 1.0.0}
spec:
"""


def section(heading: str) -> str:
    return TEXT.split(f"\n### {heading}\n")[1].split("\n### ")[0]


def blocks(heading: str, language: str) -> list[str]:
    """Give the fenced blocks of a section."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, section(heading), re.MULTILINE | re.DOTALL)


class Site:
    """A folder with packages, which Python sees beside those that are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, heading: str) -> None:
        """Install the package that a section shows."""
        module = re.findall(r"`src/(\w+)/__init__\.py`:\n", section(heading))[0]
        self.write(f"{module}/__init__.py", blocks(heading, "python")[0])
        project = tomllib.loads(blocks(heading, "toml")[0])["project"]
        points = [f"{name} = {value}" for name, value in project["entry-points"]["dagrun"].items()]
        info = f"{module}-0.1.0.dist-info"
        self.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1.0\n")
        self.write(f"{info}/entry_points.txt", "\n".join(["[dagrun]", *points]))

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = [str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(places),
                "DAGRUN_DATA_DIR": str(self.folder / "data"),
            },
            timeout=120,
            check=False,
        )

    def dagrun(self, command: str, spec: str) -> Any:
        """Give what a command prints for a document."""
        self.write("w.yaml", DOCUMENT + spec)
        done = self.python("-m", "dagrun.cli", command, "w.yaml", "--json")
        assert done.stderr == "" or command == "run", done.stderr
        return json.loads(done.stdout)

    def offers(self, kind: str) -> set[str]:
        """Give what the installed plugins offer."""
        items = json.loads(self.python("-m", "dagrun.cli", "plugins", "--json").stdout)["items"]
        return {name for item in items for name in item["offers"].get(kind, ())}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_executor_of_the_page_works(site: Site) -> None:
    site.install("An executor")
    assert "echo" in site.offers("executor")
    node = "  nodes: [{id: a, executor: {type: echo, %s}}]\n"
    (ran,) = site.dagrun("run", node % 'text: "ha", times: 3')["nodes"]
    assert ran["outputs"] == {"said": "hahaha"}
    (failed,) = site.dagrun("run", node % 'text: "ha", times: 0')["nodes"]
    assert failed["error"] == {"type": "times", "message": "it must be said at least once"}
    errors = site.dagrun("validate", node % "txt: ha")["errors"]
    assert "text" in [error["suggestion"] for error in errors]


def test_the_balancer_of_the_page_works_and_passes_its_tests(site: Site) -> None:
    site.install("A balancer")
    assert "two-choices" in site.offers("balancer")
    spec = "  placement: {balancer: two-choices%s}\n  nodes: [{id: a, executor: {type: shell, command: x}}]\n"
    assert site.dagrun("validate", spec % "")["valid"]
    refused = site.dagrun("validate", spec % ', key: "x"')
    assert [error["path"] for error in refused["errors"]] == ["spec.placement.key"]
    suite = site.write("test_two_choices.py", blocks("A balancer", "python")[1])
    done = site.python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite))
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)

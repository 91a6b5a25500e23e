"""Every example of the pages does what it shows: a reader who types it gets just that.

A fenced block is tried by one of the tests below, made by the site's build, or listed with the
reason why it is not tried.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from dagrun.domain.document.shape import Spec
from dagrun.domain.durations import parse_duration
from dagrun.domain.workflow import Node
from dagrun.plugin.loading import load_plugins
from dagrun.roles.documents import catalogue, load_file
from dagrun.settings import read_settings
from dagrun.settings.engine import EngineSettings
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name / "README.md" for name in ("benchmarks", "examples", "newsfragments")),
    *sorted(set((ROOT / "docs").rglob("*.md")) - set((ROOT / "docs").glob("plugins*.md"))),
    # those of plugins are tried in test_plugin.py
)
FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . ./plugins/*/"
"""Left out of what is typed: it asks the package index, and the like was done for these tests."""

NOT_TRIED = {
    "python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox\n": "runs this test",
    (
        "python3 -m venv .venv\n.venv/bin/pip install -q -c constraints.txt"
        " -e '.[tests,lint,types,layers,docs]' -e plugins/dagrun-cron -e plugins/dagrun-grpc -e plugins/dagrun-lua\n"
    ): "asks the package index; each environment of tox installs a part of the same",
    ".venv/bin/towncrier build --draft\n": "tox does it in the environment docs",
    ".tox/tests/bin/python -m benchmarks --json figures.json\n": "takes a minute",
    (
        "python3 -m http.server 8000 --bind 127.0.0.1 --directory examples &\n"
        "dagrun run examples/http.yaml --input site=http://127.0.0.1:8000 \\\n"
        """  --input 'pages=["/http.yaml", "/nothing"]' --http-allow 127.0.0.1:8000\nkill $!\n"""
    ): "the port may be taken; test_http_example.py tries the document",
    "cli → roles → settings → builtin | services → workers → plugin → ports → domain → errors\n": (
        "is a picture; import-linter proves it"
    ),
}

PROGRESS_ONLY = "run examples/pipeline.yaml\n"
"""Below this stands what goes to standard error; the outputs name files of the reader."""

VARIES = (
    (r" *\b\d+\.\d+s\b", " TIME"),
    (r"\d{4}-\d\d-\d\d[ T][\d:.]+Z", "DATE"),
    (r'"duration": [\d.]+', '"duration": TIME'),
    (r"(✓ read .*?)\d+ of \d+ items", r"\1N items"),  # batches of the reader's packages
)
RUN_ID = re.compile(r"\b[0-9a-v]{26}\b")

MADE = shutil.ignore_patterns("out", "__pycache__")
"""What examples that were tried before have left in their folder."""

SLEEP = """#!/bin/sh
# Time goes by events: the fifth "sleep 3" lasts until it is killed, and lets "sleep 5" end.
if [ "$1" = 0.2 ]; then exec /bin/sleep 0.2; fi  # between two looks
naps() { grep -c . "$HOME/naps"; }
if [ "$1" = 3 ]; then
    echo nap >> "$HOME/naps"
    if [ "$(naps)" = 5 ]; then exec /bin/sleep 600; fi
else
    until [ "$(naps)" = 5 ]; do /bin/sleep 0.05; done
fi
"""


@attrs.frozen
class Block:
    """A fenced block of a page."""

    page: Path
    number: int
    language: str
    text: str
    before: str
    """The prose between the block before and this one."""

    after: str
    """The prose between this block and the next one."""

    @property
    def prints(self) -> str | None:
        """What the prose says that a program prints."""
        found = re.match(r"\s*It prints `(.+?)`", self.after)
        return f"{found[1]}\n" if found else None

    @property
    def saved_as(self) -> str | None:
        """The file that the reader is to save it as."""
        found = re.search(r"(?:Save this as|Start a new file,) `([\w.]+)`", self.before)
        return found[1] if found else None


def parse(page: Path) -> Iterator[Block]:
    prose = FENCED.sub("\f", page.read_text()).split("\f")
    for number, found in enumerate(FENCED.finditer(page.read_text())):
        yield Block(page, number, found[1], found[2], prose[number], prose[number + 1])


BLOCKS = [block for page in PAGES for block in parse(page)]


def of_servers(page: Path, start: str, end: str) -> list[str]:
    """Give the blocks of the part of a page that needs an orchestrator."""
    part = page.read_text().partition(start)[2].partition(end)[0]
    return [text for _, text in FENCED.findall(part)]


SERVED = of_servers(ROOT / "README.md", "## Several engines", "\n## ")
SERVED += of_servers(ROOT / "docs/engines.md", "#", "\0")
NOT_TRIED |= dict.fromkeys(SERVED, "test_several_engines.py tries it, in one shell")


def steps(page: Path) -> Iterator[tuple[Block, str]]:
    """Give what a reader saves or types, one after the other, with what is shown below it."""
    saves = False
    step: tuple[Block, str] | None = None
    for block in BLOCKS:
        if block.page != page or block.text in NOT_TRIED:
            continue
        saves = saves or block.saved_as is not None
        if block.language == "text" and step:
            step = (step[0], step[1] + block.text)
        elif (
            block.language == "sh"
            or (block.language == "yaml" and saves)
            or block.saved_as
            or block.prints
        ):
            if step:
                yield step
            step = (block, block.prints or "")
    if step:
        yield step


STEPS = {page: found for page in PAGES if (found := list(steps(page)))}
PIECES = [
    block
    for block in BLOCKS
    if block.language == "yaml" and block not in [step for step, _ in STEPS.get(block.page, [])]
]


def tried_by(block: Block) -> str | None:
    """Say what tries a block."""
    if block.text in NOT_TRIED:
        return "nothing, and it is said why"
    if block.language.startswith("{"):
        return "the build of the site"
    if (block.language in ("sh", "text") and block.page in STEPS) or block.prints or block.saved_as:
        return "test_a_reader_gets_what_the_page_shows"
    if block.language == "yaml":
        return "that test, or test_a_piece_of_a_document_is_valid"
    return {
        ("reference.md", "toml"): "test_the_example_of_settings_is_read",
        ("reference.md", "json"): "test_the_example_of_a_result_is_the_same_on_two_pages",
    }.get((block.page.name, block.language))


def title(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}-{block.number}"


@pytest.mark.parametrize("block", BLOCKS, ids=title)
def test_a_block_is_tried_or_it_is_said_why_not(block):
    assert tried_by(block)


def test_what_is_not_tried_still_stands_on_a_page():
    texts = [block.text for block in BLOCKS]
    assert set(NOT_TRIED) <= set(texts)
    assert INSTALL in "".join(texts)


def test_there_is_no_block_that_is_made_by_indenting():
    for page in PAGES:
        prose = FENCED.sub("", page.read_text())
        assert not re.search(r"\n\n {4}\S", prose), page


class Reader:
    """Somebody with a fresh home and a checkout, who does what a page says."""

    def __init__(self, home: Path, *, installed: bool) -> None:
        self.home = home
        self.ids: dict[str, str] = {}
        """Id of a run on the page → id of the reader's run."""
        checkout, tools = home / "checkout", home / "tools"
        shutil.copytree(ROOT / "examples", checkout / "examples", ignore=MADE)
        installed_in = checkout / ".venv/bin"
        program(installed_in / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        program(installed_in / "dagrun", f'#!/bin/sh\nexec {sys.executable} -m dagrun "$@"\n')
        program(tools / "sleep", SLEEP)
        (home / "naps").touch()
        (home / "where").write_text(f"{checkout}\n")
        places = [installed_in] * installed + [tools, os.environ["PATH"]]
        (home / "variables").write_text(f"export HOME={home} PATH={':'.join(map(str, places))}\n")

    def type(self, text: str) -> str:
        """Give what the shell and its programs print. Folder and variables last."""
        for shown, real in self.ids.items():
            text = text.replace(shown, real)
        go_on = f'. {self.home}/variables; cd "$(cat {self.home}/where)"'
        keep = f"export -p > {self.home}/variables; pwd > {self.home}/where"
        done = subprocess.run(
            ["/bin/bash", "-c", f"{go_on}\n{text.replace(INSTALL, 'true')}\n{keep}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if PROGRESS_ONLY in text else subprocess.STDOUT,
            env={},
            text=True,
            timeout=120,
            check=False,
        )
        return done.stderr if PROGRESS_ONLY in text else done.stdout

    def save(self, name: str, text: str) -> None:
        with (Path((self.home / "where").read_text().strip()) / name).open("a") as file:
            file.write(text)

    def compare(self, printed: str, shown: str) -> None:
        """See that the same was printed, but for ids and times. Learn the ids that are new."""
        self.ids |= dict(zip(RUN_ID.findall(shown), RUN_ID.findall(printed), strict=False))
        for page, real in self.ids.items():
            printed = printed.replace(real, page)
        assert without_times(printed) == without_times(shown)


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def without_times(text: str) -> str:
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text


@pytest.mark.timeout(600)  # it types whole pages; each step has a limit of its own
@pytest.mark.parametrize("page", STEPS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_reader_gets_what_the_page_shows(tmp_path, page):
    installs = any(INSTALL in step.text for step, _ in STEPS[page])
    reader, file = Reader(tmp_path, installed=not installs), ""
    for step, shown in STEPS[page]:
        file = step.saved_as or file
        if step.language == "yaml" or step.saved_as:
            reader.save(file, step.text)
        elif step.language == "python":
            text = f"cat > program.py <<'PYTHON'\n{step.text}PYTHON\npython program.py"
            reader.compare(reader.type(text), shown)
        else:
            reader.compare(reader.type(step.text), shown)


OF_SPEC = {field.name for field in attrs.fields(Spec)} - {
    field.name for field in attrs.fields(Node)
}
NODE = "    - id: {}\n      executor: {{type: shell, command: [echo]}}\n"


def as_document(piece: str) -> str:
    """Put around a piece of a document what it leaves out."""
    if piece.startswith("apiVersion:"):
        return piece
    head, spec, inside = "metadata: {id: w, version: 1.0.0}\n", "spec:\n", ""
    if piece.startswith("metadata:"):
        head = piece
    elif piece.startswith("spec:"):
        spec = piece
    elif piece.partition(":")[0] in OF_SPEC:
        spec += textwrap.indent(piece, "  ")
    elif piece.startswith("- id:"):
        inside = textwrap.indent(piece, "    ")
    elif piece.startswith("executor:"):
        inside = "    - id: only\n" + textwrap.indent(piece, "      ")
    else:
        inside = NODE.format("only") + textwrap.indent(piece, "      ")
    return f"apiVersion: dagrun/v1\nkind: Workflow\n{head}{spec}  nodes:\n{inside}{others(piece)}"


def others(piece: str) -> str:
    """Give the nodes that a piece speaks of, behind the one that it is a part of."""
    listed = re.findall(r"dependencies: \[(\w+)\]", piece)
    read = re.findall(r'nodes(?:\.|\[")([\w-]+)', piece)
    depends = (
        f"      dependencies: {read}\n" if read and not listed and "spec:" not in piece else ""
    )
    nodes = {*listed, *read} or {"another"}
    return depends + "".join(NODE.format(name) for name in sorted(nodes))


@pytest.mark.parametrize("block", PIECES, ids=title)
def test_a_piece_of_a_document_is_valid(tmp_path, block):
    file = tmp_path / "document.yaml"
    file.write_text(as_document(block.text))
    load_file(file, catalogue(load_plugins().registry))


def all_of(page: str, language: str) -> list[str]:
    """Give the blocks of a language on a page."""
    return [
        block.text
        for block in BLOCKS
        if (block.page.name, block.language) == (page, language) and block.text not in NOT_TRIED
    ]


def only(page: str, language: str) -> str:
    """Give the one block of a language on a page."""
    (text,) = all_of(page, language)
    return text


def test_the_example_of_settings_is_read(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text(all_of("reference.md", "toml")[0])
    written = tomllib.loads(file.read_text())
    meant = {
        "data_dir": Path,
        "retention": parse_duration,
        "http_allow": tuple,
        "secrets_dir": Path,
    }
    for name, convert in meant.items():
        written[name] = convert(written[name])
    assert attrs.asdict(read_settings({}, environ={}, config=file)) == written


def test_the_example_of_the_settings_of_roles_is_read(tmp_path):
    file = tmp_path / "dagrun.toml"
    file.write_text(all_of("reference.md", "toml")[1])
    written = tomllib.loads(file.read_text())
    written["lease"] = parse_duration(written["lease"])
    written |= {name: tuple(written[name]) for name in ("discovery", "engines")}
    leads = attrs.asdict(read(OrchestratorSettings, {}, environ={}, config=file))
    works = attrs.asdict(read(EngineSettings, {}, environ={}, config=file))
    assert {**works, **leads, **written} == {**works, **leads}


def test_the_example_of_a_result_is_the_same_on_two_pages():
    (printed,) = [shown for _, shown in STEPS[ROOT / "docs/tutorial.md"] if shown.startswith("{")]
    assert json.loads(only("reference.md", "json")) == json.loads(printed)

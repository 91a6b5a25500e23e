"""What the pages say is true, as far as a program can tell; examples have tests of their own."""

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import pytest

from dagrun.builtin.child_runs import WorkflowOptions
from dagrun.builtin.http.options import BasicAuth, HttpOptions
from dagrun.builtin.leadership import LeaderExists
from dagrun.builtin.python import PythonOptions
from dagrun.builtin.shell import ShellOptions
from dagrun.domain.document import legacy, legacy_configuration
from dagrun.domain.document.shape import Metadata, Spec
from dagrun.domain.workflow import Concurrency, Handler, Node, Placement, RetryPolicy, Trigger
from dagrun.errors import DagrunError, NodeError, RunFailed
from dagrun.roles.documents import HTTP_TRIGGER
from dagrun.services.attachment import Unwelcome
from dagrun.settings.engine import EngineSettings
from dagrun.settings.names import NAMES, flag_of, variable_of
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun_cron.options import CronOptions
from dagrun_cron.schedule import WORDS
from dagrun_lua import LuaOptions

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference.md"
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name / "README.md" for name in ("benchmarks", "examples", "newsfragments")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

MODEL = (
    Node,
    RetryPolicy,
    Spec,
    Concurrency,
    Placement,
    Handler,
    Trigger,
    Metadata,
    ShellOptions,
    PythonOptions,
    LuaOptions,
    HttpOptions,
    WorkflowOptions,
    BasicAuth,
)
COMMANDS = (
    (
        "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . ./plugins/*/ "
        "&& .venv/bin/dagrun run examples/pipeline.yaml"
    ),
    "python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox",
)


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> list[tuple[Path, str]]:
    """Give every link that stays inside the repository, with its page."""
    return [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if "://" not in target
    ]


@pytest.mark.parametrize("cls", MODEL, ids=lambda cls: cls.__name__)
def test_the_reference_mentions_every_key(cls: type[Any]) -> None:
    words = set(re.findall(r"`(?:\w+\.)?(\w+)`", REFERENCE.read_text()))
    assert {field.name for field in attrs.fields(cls)} - words == set()


def section(heading: str) -> str:
    """Give what stands below a heading, up to the next one that is not below it."""
    level = heading.partition(" ")[0]
    text = REFERENCE.read_text().split(f"\n{heading}\n")[1]
    return re.split(rf"^#{{2,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def names(cls: type[Any]) -> set[str]:
    return {field.name for field in attrs.fields(cls)}


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("### The trigger cron", names(CronOptions)),
        ("### The trigger cron", {word.strip("@") for word in WORDS}),
        ("### The trigger http", {*HTTP_TRIGGER["properties"]}),
        ("### The trigger http", {*HTTP_TRIGGER["properties"]["method"]["enum"]}),
        ("## Older documents", {"name", "description", "timeout", "retries", "config"}),
        ("## Older documents", {*legacy._MOVABLE, *legacy_configuration._KEYS}),
        ("## Older documents", {*legacy_configuration._LIMITS}),
        ("## Older documents", names(legacy_configuration.Secret)),
        ("## Older documents", names(legacy_configuration.Kubernetes)),
    ],
)
def test_a_section_of_the_reference_mentions_every_key(heading: str, known: set[str]) -> None:
    tables = "".join(re.findall(r"^\|.*$", section(heading), re.MULTILINE))
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`(.+?)`", tables))))
    assert known - words == set()


def as_written(field: Any) -> set[str]:
    """Give how a table may write an option's default."""
    if field.default is attrs.NOTHING:
        return {"needed"}
    if field.default is None:
        return {"none", "no limit"}
    default = {} if isinstance(field.default, attrs.Factory) else field.default
    return {f"`{str(default).lower()}`", f"`{default}`", f"`{default:g}`" if default == 0 else ""}


@pytest.mark.parametrize("field", attrs.fields(CronOptions), ids=lambda field: field.name)
def test_the_table_of_cron_tells_defaults_and_words(field: Any) -> None:
    rows = re.findall(
        r"^\| (.+?) \| (.+?) \| (.+?) \|", section("### The trigger cron"), re.MULTILINE
    )
    kind, default = next(row[1:] for row in rows if f"`{field.name}`" in row[0])
    assert default in as_written(field)
    if get_origin(field.type) is Literal:
        assert tuple(re.findall(r"`(\w+)`", kind)) == get_args(field.type)


def refusals(cls: type[DagrunError]) -> set[str]:
    found = {cls.code} if "code" in vars(cls) else set()
    return found.union(*map(refusals, cls.__subclasses__()))


def test_the_reference_names_every_type_of_refusal() -> None:
    text = REFERENCE.read_text().split("`type` of a refusal:")[1].split("\n\n")[0]
    of_nodes = refusals(NodeError) | {RunFailed.code, DagrunError.code}
    of_roles = {LeaderExists.code, Unwelcome.code}  # which have no --json
    listed = set(re.findall(r"`(\w+)`", text)) - {"run"}
    assert listed == (refusals(DagrunError) - of_nodes - of_roles) | {"interrupted"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_reference_names_a_settings_key_variable_and_flag(name: str) -> None:
    text = section("## Settings")
    for word in (name, variable_of(name), flag_of(name)):
        assert f"`{word}`" in text


def written(value: Any) -> str:
    """Give how the tables of the roles write a default."""
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if type(value) is float else str(value).removesuffix(".0").lower()


@pytest.mark.parametrize("kind", [OrchestratorSettings, EngineSettings])
def test_the_tables_of_the_roles_tell_the_defaults(kind: type[Any]) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| .+? \| .+? \| `(.+?)` \|", section("### Of the roles"), re.MULTILINE
    )
    defaults = {name: default for name, default in rows if name in names(kind)}
    assert len(defaults) > 1
    assert defaults == {name: written(getattr(kind(), name)) for name in defaults}


def test_the_commands_for_a_fresh_machine_stand_first_in_the_readme() -> None:
    commands = re.findall(r"^```sh\n(.*?)\n```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert tuple(commands[:2]) == COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_installs_the_other_project_of_this_name(page: Path) -> None:
    assert not re.search(r"pip install\s+(-\S+\s+)*dagrun\b", page.read_text())


@pytest.mark.parametrize(("page", "target"), links())
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    assert file.exists()
    assert not anchor or anchor in anchors(file)


def test_the_page_of_the_examples_names_each_of_them() -> None:
    listed = set(re.findall(r"\]\(([\w.]+)\)", (ROOT / "examples" / "README.md").read_text()))
    there = {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert listed == there - {"README.md"}


def test_every_test_behind_a_promise_exists() -> None:
    text = (ROOT / "docs" / "promises.md").read_text()
    sections = re.split(r"`((?:tests/\w+|src/dagrun/testing(?:/\w+)?)/\w+\.py)`", text)[1:]
    named = {
        (file, test)
        for file, rest in zip(sections[::2], sections[1::2], strict=True)
        for test in re.findall(r"`(test_\w+)`", rest)
    }
    assert named
    missing = [test for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_the_promises_name_tests_that_exist() -> None:
    text = (ROOT / "docs" / "promises.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    places = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "src/dagrun/testing").rglob("*.py")]
    sources = "".join(path.read_text() for path in places)
    assert named
    assert {name for name in named if f"def {name}(" not in sources} == set()

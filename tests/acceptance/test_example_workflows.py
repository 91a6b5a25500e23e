"""The examples as a user runs them; ``pipeline.yaml`` and ``http.yaml`` have tests elsewhere."""

import json
import shutil
import sysconfig
import tarfile
from pathlib import Path

import pytest

from dagrun.testing.programs import call

EXAMPLES = Path(__file__).parents[2] / "examples"
MADE = shutil.ignore_patterns("out", "__pycache__")


@pytest.fixture
def examples(tmp_path):
    return shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=MADE)


@pytest.fixture
def run(dagrun, examples):
    """Run an example; give its exit code, its result, and its nodes and handlers by id."""

    def call(name, *inputs):
        given = [word for text in inputs for word in ("--input", text)]
        done = dagrun("run", examples / name, "--json", *given)
        result = json.loads(done.stdout)
        parts = {part["id"]: part for part in result["nodes"] + result.get("handlers", [])}
        return done.returncode, result, parts

    return call


def states(parts):
    return {name: (part["status"], part["attempts"]) for name, part in parts.items()}


# retries.yaml


def test_a_server_that_is_busy_at_first_is_asked_again(run):
    code, result, parts = run("retries.yaml")
    assert (code, result["outputs"]) == (0, {"orders": 3})
    assert states(parts) == {
        "fetch": ("succeeded", 2),
        "count": ("succeeded", 2),
        "apologise": ("skipped", 0),
        "handler:success": ("succeeded", 1),
        "handler:exit": ("succeeded", 1),
    }


def test_a_server_that_stays_busy_takes_the_branch_and_the_handlers_for_failures(run, dagrun):
    code, result, parts = run("retries.yaml", "busy=9")
    assert (code, result["status"]) == (1, "failed")
    assert states(parts) == {
        "fetch": ("failed", 3),
        "count": ("skipped", 0),
        "apologise": ("succeeded", 1),
        "handler:failure": ("succeeded", 1),
        "handler:exit": ("succeeded", 1),
    }
    logs = dagrun("runs", "logs", result["run_id"]).stdout
    for said in ("the orders of today", "tell somebody: node fetch: exit_code", "it has failed"):
        assert said in logs


# files.yaml


def lines(file):
    return file.read_bytes().count(b"\n")


def test_the_longest_modules_of_the_standard_library_are_found(run, examples):
    files = list(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    longest = sorted(files, key=lambda file: (-lines(file), file.name))[:5]
    code, result, parts = run("files.yaml")
    assert code == 0
    assert result["outputs"] == {
        "files": len(files),
        "lines": sum(map(lines, files)),
        "longest": [{"file": file.name, "lines": lines(file)} for file in longest],
        "report": "examples/out/longest.txt",
    }
    assert len(parts["count"]["items"]) == len(files)
    report = (examples / "out" / "longest.txt").read_text()
    assert [row.split() for row in report.splitlines()] == [
        [str(lines(file)), file.name] for file in longest
    ]


def test_files_may_be_called_anything_and_two_may_be_unreadable(run, tmp_path):
    folder = tmp_path / "odd $(names)"
    folder.mkdir()
    for number, name in enumerate(("a b.py", "'\"; exit 1 #.py", "$(touch x)ü.py"), start=1):
        (folder / name).write_text("\n" * number)
    for name in ("1.py", "2.py"):
        (folder / name).symlink_to("nowhere")
    code, result, _ = run("files.yaml", f"folder={folder}", "top=1")
    assert code == 0
    assert result["outputs"]["longest"] == [{"file": "$(touch x)ü.py", "lines": 3}]
    assert (result["outputs"]["files"], result["outputs"]["lines"]) == (5, 6)
    (folder / "3.py").symlink_to("nowhere")
    code, result, parts = run("files.yaml", f"folder={folder}")
    assert (code, parts["count"]["error"]["type"]) == (1, "item_failed")


def test_a_folder_without_files_has_an_empty_report(run, tmp_path, examples):
    code, result, _ = run("files.yaml", f"folder={tmp_path / 'nothing'}")
    assert (code, result["outputs"]["longest"]) == (0, [])
    assert (examples / "out" / "longest.txt").read_text() == ""


# nightly.yaml


def test_the_older_document_archives_its_folder_and_keeps_the_newest(run, examples):
    archives = examples / "out" / "nightly"
    archives.mkdir(parents=True)
    for number in range(1, 9):
        (archives / f"00{number}.tar.gz").touch()
    code, result, parts = run("nightly.yaml")
    assert code == 0
    made = archives / f"{result['run_id']}.tar.gz"
    assert sorted(file.name for file in archives.iterdir()) == [
        *(f"00{number}.tar.gz" for number in range(3, 9)),
        made.name,
    ]
    with tarfile.open(made) as archive:
        names = archive.getnames()
    assert {"./nightly.yaml", "./inventory.py"} <= set(names)
    assert not [name for name in names if name.startswith("./out")]
    assert parts["summary"]["outputs"] == {"file": str(made), "entries": len(names)}


# python_only.py


@pytest.fixture
def program(tmp_path, examples):
    return lambda *arguments: call(examples / "python_only.py", *arguments, folder=tmp_path)


def test_a_program_runs_its_own_functions_as_a_workflow(program, dagrun):
    done = program("80000")
    assert (done.returncode, done.stderr) == (0, "")
    *nodes, pi = done.stdout.splitlines()
    assert nodes == [
        "plan: succeeded, 1 done",
        "throw: succeeded, 8 done",
        "estimate: succeeded, 1 done",
    ]
    assert float(pi.removeprefix("pi is about ")) == pytest.approx(3.1416, abs=0.03)
    again = program("80000")
    assert again.stdout == done.stdout  # each batch has its seed
    runs = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert [(run["workflow_id"], run["status"]) for run in runs] == [("darts", "succeeded")] * 2
    logs = dagrun("runs", "logs", runs[0]["run_id"], "throw", "--item", "3").stdout
    assert logs.startswith("seed 3: ")


def test_a_program_is_told_of_inputs_that_do_not_fit(program, dagrun):
    done = program("3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "InputError" in done.stderr
    assert json.loads(dagrun("runs", "list", "--json").stdout)["items"] == []

"""A folder of documents that an orchestrator registers, and watches."""

import json
import os
import signal

import pytest

from dagrun.testing.programs import COMMAND, call
from dagrun.testing.roles import address_of, logged, read_log

REFUSED = "not registered: "


def document(workflow_id="w", version="1.0.0", executor="{type: lua, code: 'return {}'}", more=""):
    return (
        "apiVersion: dagrun/v1\n"
        "kind: Workflow\n"
        f"metadata: {{id: {workflow_id}, version: {version}}}\n"
        "spec:\n"
        "  nodes:\n"
        f"    - {{id: a, executor: {executor}{more}}}\n"
    )


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "documents"
    path.mkdir()
    return path


@pytest.fixture
def lead(start, folder):
    return lambda *more: start(
        "orchestrator", "--grpc-port", "0", "--workflows", folder, "--lease", "1", *more
    )


@pytest.fixture
def registered(tmp_path):
    """Give what is registered, as ``id version``."""

    def look():
        listed = json.loads(call(*COMMAND, "workflows", "list", "--json", folder=tmp_path).stdout)
        return [f"{one['workflow_id']} {one['version']}" for one in listed["items"]]

    return look


def replace(file, text):
    """Write a file whole, as editors do."""
    (new := file.with_name(f".{file.name}.new")).write_text(text)
    new.replace(file)


def test_all_documents_of_the_folder_are_registered_before_the_orchestrator_says_where_it_listens(
    lead, folder, registered
):
    (folder / "a.yaml").write_text(document("a"))
    (folder / "b.yml").write_text(document("b"))
    (folder / "c.json").write_text(
        json.dumps(
            {
                "apiVersion": "dagrun/v1",
                "kind": "Workflow",
                "metadata": {"id": "c", "version": "1.0.0"},
                "spec": {"nodes": [{"id": "a", "executor": {"type": "lua", "code": "return {}"}}]},
            }
        )
    )
    for other in (".hidden.yaml", "notes.txt", "d.YAML"):
        (folder / other).write_text(document("d"))
    (folder / "below").mkdir()
    (folder / "below" / "e.yaml").write_text(document("e"))
    os.mkfifo(folder / "pipe.yaml")
    (folder / "lost.yaml").symlink_to(folder / "nowhere")
    address_of(lead())
    assert registered() == ["a 1.0.0", "b 1.0.0", "c 1.0.0"]


def test_what_is_new_or_changes_is_registered_and_what_goes_stays_registered(
    lead, folder, registered
):
    (folder / "a.yaml").write_text(document("a"))
    role = lead()
    address_of(role)
    replace(folder / "a.yaml", document("a", "1.1.0"))
    assert read_log(role, "registered") == f"a 1.1.0 is registered, from {folder}/a.yaml"
    (folder / "b.yaml").write_text(document("b"))
    read_log(role, "b 1.0.0 is registered")
    (folder / "a.yaml").unlink()
    (folder / "c.yaml").write_text(document("c"))
    read_log(role, "c 1.0.0 is registered")
    assert registered() == ["a 1.1.0", "b 1.0.0", "c 1.0.0"]


def test_a_file_that_a_document_names_is_a_part_of_it(lead, folder, tmp_path):
    (folder / "code").mkdir()
    (folder / "a.yaml").write_text(document("a", executor="{type: lua, file: code/a.lua}"))
    role = lead()
    error = read_log(role, REFUSED)
    place = f"{folder}/a.yaml:6:43: spec.nodes[0].executor.file"
    assert f"{place}: {folder}/code/a.lua cannot be read: No such file" in error
    (folder / "code" / "a.lua").write_text("return {answer = 42}\n")
    read_log(role, "a 1.0.0 is registered")
    shown = call(*COMMAND, "workflows", "show", "a", "--json", folder=tmp_path).stdout
    assert "answer = 42" in shown
    (folder / "code" / "a.lua").write_text("return {answer = 43}\n")
    assert "a 1.0.0 is registered with another content" in read_log(role, REFUSED)


def test_a_wrong_document_is_one_error_with_its_place_and_disturbs_no_other(
    lead, folder, registered
):
    wrong = document("a", executor="{type: shell, command: [./a.sh]}", more=", needs: b")
    (folder / "a.yaml").write_text(wrong)
    (folder / "b.yaml").write_text(document("b"))
    role = lead()
    error = read_log(role, REFUSED)
    place = f"{folder}/a.yaml:6"
    assert f"{place}:49: spec.nodes[0].executor.command[0]: it is relative" in error
    assert f"{place}:59: spec.nodes[0].needs: the key 'needs' is not known here" in error
    address_of(role)
    assert registered() == ["b 1.0.0"]
    (folder / "c.yaml").write_text(document("c"))
    read_log(role, "c 1.0.0 is registered")
    replace(folder / "a.yaml", document("a"))
    assert "a 1.0.0 is registered" in read_log(role, "registered")
    role.send_signal(signal.SIGTERM)
    _, rest = role.communicate()
    assert role.returncode == 0
    assert [entry["event"] for entry in logged(rest)] == ["stopped"]


def test_another_content_under_a_version_is_refused_and_the_same_one_is_nothing_new(
    lead, folder, tmp_path
):
    (folder / "a.yaml").write_text(document("a"))
    first = lead()
    address_of(first)
    replace(folder / "a.yaml", document("a", executor="{type: lua, code: 'return {b = 1}'}"))
    assert read_log(first, REFUSED) == (
        f"not registered: {folder}/a.yaml: a 1.0.0 is registered with another content; "
        "a version never changes: give the new content a new version"
    )
    replace(folder / "a.yaml", document("a") + "# the same\n")
    (folder / "b.yaml").write_text(document("b"))
    assert "b 1.0.0" in read_log(first, "registered")
    first.send_signal(signal.SIGTERM)
    first.communicate()
    again = lead()
    assert "listening" in json.loads(again.read_line("stderr"))["event"]


def test_only_who_leads_registers(lead, folder, registered, start, tmp_path):
    first = start("orchestrator", "--grpc-port", "0")
    address_of(first)
    (folder / "a.yaml").write_text(document("a"))
    second = lead()
    read_log(second, "waiting until it ends")
    (folder / "b.yaml").write_text(document("b"))
    assert registered() == []
    first.send_signal(signal.SIGTERM)
    address_of(second)
    assert registered() == ["a 1.0.0", "b 1.0.0"]


def test_another_folder_in_the_place_of_the_folder_is_found(lead, folder, registered):
    role = lead()
    address_of(role)
    folder.rename(folder.with_name("old"))
    assert "cannot be looked into: No such file" in read_log(role, "looked into")
    folder.mkdir()
    (folder / "a.yaml").write_text(document("a"))
    read_log(role, "a 1.0.0 is registered")


def test_documents_behind_links_are_followed_as_a_mounted_configuration_has_them(lead, folder):
    for name, version in (("..one", "1.0.0"), ("..two", "2.0.0")):
        (folder / name).mkdir()
        (folder / name / "a.yaml").write_text(document("a", version))
    (folder / "..data").symlink_to("..one")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    role = lead()
    read_log(role, "a 1.0.0 is registered")
    (folder / "..new").symlink_to("..two")
    (folder / "..new").replace(folder / "..data")
    read_log(role, "a 2.0.0 is registered")


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        (["--workflows", "none"], {}, "--workflows: a folder that is there is needed, not 'none'"),
        ([], {"DAGRUN_WORKFLOWS": "none"}, "DAGRUN_WORKFLOWS: a folder that is there is needed"),
        (["--workflows", "dagrun.toml"], {}, "--workflows: a folder that is there is needed"),
        ([], {}, "dagrun.toml: workflows: a folder that is there is needed, not 'nowhere'"),
    ],
)
def test_a_folder_that_is_not_there_is_told_under_the_name_of_its_setting(
    start, tmp_path, given, environment, message
):
    (tmp_path / "dagrun.toml").write_text("" if given or environment else 'workflows = "nowhere"\n')
    role = start("orchestrator", *given, **environment)
    _, told = role.communicate()
    assert role.returncode == 2
    assert told.startswith(f"dagrun: {message}")
    assert len(told.splitlines()) == 1

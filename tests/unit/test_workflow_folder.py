"""How a folder of documents is looked into, and watched."""

import os
import time

import pytest
import trio
import watchfiles

from dagrun.domain.document.sending import files_named
from dagrun.errors import ConflictError, DefinitionError, Problem, StoreFull
from dagrun.ports.management import Registered
from dagrun.roles.documents import read_to_send
from dagrun.services.workflow_folder import WorkflowFolder, watching

OLD = time.time() - 3600


class House:
    """A folder, and who registers what is in it."""

    def __init__(self, folder):
        self.folder = folder
        self.reads, self.taken = [], []
        self.trouble = None
        self.service = WorkflowFolder(folder, read=self.read, register=self.register)

    def read(self, file):
        self.reads.append(file.name)
        return read_to_send(file)

    async def register(self, file, read):
        await trio.lowlevel.checkpoint()
        if self.trouble is not None:
            raise self.trouble
        self.taken.append((file.name, read.document, dict(read.files)))
        return Registered(workflow_id=file.stem, version="1.0.0", created=True)

    def write(self, name, text="x: 1"):
        (self.folder / name).write_text(text)

    async def look(self):
        self.reads, self.taken = [], []
        await self.service._look()
        return [name for name, *_ in self.taken]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.fixture
def settled(monkeypatch):
    """Let all files be old enough that a change surely gives them another time."""
    monkeypatch.setattr("dagrun.services.workflow_folder.looking.SETTLED", -1)


@pytest.mark.usefixtures("settled")
async def test_what_has_not_changed_is_not_read_again(house):
    house.write("a.yaml", "file: b.lua")
    house.write("b.lua")
    assert await house.look() == ["a.yaml"]
    assert await house.look() == house.reads == []
    house.write("b.lua", "y: 1")
    assert await house.look() == ["a.yaml"]
    (house.folder / "b.lua").unlink()
    assert await house.look() == ["a.yaml"]
    assert house.taken == [("a.yaml", b"file: b.lua", {})]
    assert await house.look() == house.reads == []


async def test_what_has_just_changed_is_read_again_and_registered_once(house):
    house.write("a.yaml")
    assert await house.look() == ["a.yaml"]
    assert await house.look() == []
    assert house.reads == ["a.yaml"]


@pytest.mark.usefixtures("settled")
async def test_a_content_of_the_same_length_and_time_is_seen(house):
    for text in ("x: 1", "x: 2"):
        house.write("a.yaml", text)
        os.utime(house.folder / "a.yaml", (OLD, OLD))
        assert await house.look() == ["a.yaml"]


@pytest.mark.usefixtures("settled")
async def test_a_document_that_goes_and_comes_is_registered_again(house):
    house.write("a.yaml")
    await house.look()
    (house.folder / "a.yaml").rename(house.folder / "a")
    assert await house.look() == []
    (house.folder / "a").rename(house.folder / "a.yaml")
    assert await house.look() == ["a.yaml"]


@pytest.mark.parametrize("trouble", [DefinitionError([Problem(message="no")]), ConflictError("no")])
async def test_what_is_refused_is_told_once_until_it_changes(house, caplog, trouble):
    house.trouble = trouble
    house.write("a.yaml")
    for _ in range(3):
        await house.look()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    house.write("a.yaml", "y: 1")
    await house.look()
    assert len(caplog.records) == 2


async def test_what_the_store_has_no_room_for_is_tried_again_with_one_warning(house, caplog):
    house.trouble = StoreFull("no room")
    house.write("a.yaml")
    for _ in range(3):
        await house.look()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    house.trouble = None
    assert await house.look() == ["a.yaml"]


async def test_of_a_document_with_very_much_wrong_the_beginning_is_told(house, caplog):
    house.trouble = DefinitionError([Problem(message=f"no {n}") for n in range(30)])
    house.write("a.yaml")
    await house.look()
    (record,) = caplog.records
    assert record.getMessage().endswith("no 18; no 19; and 10 more problems")


async def test_a_document_that_cannot_be_read_is_told_once(house, caplog):
    def fail(_file):
        raise DefinitionError([Problem(message="it cannot be read: no", file="a.yaml")])

    house.service = WorkflowFolder(house.folder, read=fail, register=house.register)
    house.write("a.yaml")
    for _ in range(2):
        await house.look()
    assert [record.getMessage() for record in caplog.records] == [
        "not registered: a.yaml: it cannot be read: no"
    ]


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (b"file: a\nx: [{file: b}, {file: [c]}]\ny: {file: 1, z: {file: d/e}}", {"a", "b", "d/e"}),
        (b"- file: a", set()),
        (b"{", set()),
        (b"\xff", set()),
    ],
)
def test_the_files_of_a_document_are_what_it_calls_so(document, named):
    assert files_named(document) == named


@pytest.mark.parametrize("name", ["a\\u0000b", "\\ud800", "a" * 5000, "..", ""])
async def test_a_name_that_no_file_can_have_does_no_harm(house, name):
    house.write("a.json", f'{{"file": "{name}"}}')
    assert await house.look() == ["a.json"]


async def test_what_changes_is_heard_of_at_once_and_the_end_waits_for_nothing(house, monkeypatch):
    monkeypatch.setattr(watching, "LOOK", 600.0)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(house.service.run)
            for name in ("a", "b"):
                while not [taken for taken in house.taken if taken[0] == f"{name}.yaml"]:
                    house.write(f"{name}.yaml", f"x: {time.time_ns()}")
                    await trio.sleep(0.2)
            nursery.cancel_scope.cancel()


async def test_a_folder_that_cannot_be_watched_is_looked_into_again_and_again(
    house, monkeypatch, caplog
):
    async def refuse(*_arguments, **_options):
        raise OSError(28, "no more can be watched")
        yield

    monkeypatch.setattr(watchfiles, "awatch", refuse)
    monkeypatch.setattr(watching, "LOOK", 0.05)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(house.service.run)
            house.write("a.yaml")
            while not house.taken:  # noqa: ASYNC110 — it is looked into in a thread
                await trio.sleep(0.01)
            await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warnings == [
        f"{house.folder} is looked into each 0.05 s only: [Errno 28] no more can be watched"
    ]

import os

import pytest

from dagrun.testing.discoveries import DiscoverySuite
from dagrun_engines import listed
from dagrun_engines.listed import FileDiscovery


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(listed, "LOOK", 0.05)


class TestFileDiscovery(DiscoverySuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path
        self.file = tmp_path / "engines.txt"

    def make_discovery(self):
        return FileDiscovery(folder=self.folder)

    async def make_found(self, discovery):
        self.file.write_text("a.test:1\n\n# the second one\n [::1]:50051 # here\na.test:1\n")
        return ["a.test:1", "[::1]:50051"]

    def put(self, text):
        """Put the file in its place at once, so that nobody reads half of it."""
        (self.folder / "new").write_text(text)
        (self.folder / "new").rename(self.file)

    async def test_a_change_is_told_and_a_file_that_is_gone_changes_nothing(self):
        async with self.running(self.make_discovery()) as heard:
            self.put("a:1\n")
            await heard.until(lambda found: found == {"a:1"})
            self.file.unlink()
            self.put("b:2\n")
            await heard.until(lambda found: found == {"b:2"})
            self.put("")
            await heard.until(lambda found: found == set())
        assert heard.lists == [["a:1"], ["b:2"], []]

    async def test_lines_that_are_no_address_are_told_and_left_out(self, caplog):
        self.file.write_text("nonsense\nhttp://x:1\na:1\n\0:1\n")
        async with self.running(self.make_discovery()) as heard:
            await heard.until(lambda found: found == {"a:1"})
        assert caplog.text.count("is no host:port") == 3

    async def test_a_pipe_holds_nobody_up(self):
        os.mkfifo(self.file)
        async with self.running(self.make_discovery()) as heard:
            self.file.unlink()
            self.file.write_text("a:1\n")
            await heard.until(lambda found: found == {"a:1"})

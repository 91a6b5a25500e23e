import json
import resource
from contextlib import contextmanager

import pytest

from dagrun.errors import ConfigError
from dagrun.testing.subscribers import SubscriberSuite, in_order
from dagrun_engines.written import FileSubscriber


def lines(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


class TestFileSubscriber(SubscriberSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def make_subscriber(self):
        return FileSubscriber(folder=self.folder)

    async def told(self):
        return [line["id"] for line in lines(self.folder)]


async def test_a_line_has_what_is_known_of_the_event(tmp_path):
    async with FileSubscriber(folder=tmp_path) as subscriber:
        await subscriber.handle(in_order(1))
    assert lines(tmp_path) == [
        {
            "id": "1",
            "type": "node.succeeded",
            "severity": "info",
            "time": "2026-01-01T12:00:01+00:00",
            "run_id": "06dndml8000000000000000000",
            "workflow_id": "w",
            "node_id": "n1",
            "engine_id": "e1",
        }
    ]


async def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"events\.jsonl cannot be written: No such file"):
        async with FileSubscriber(folder=tmp_path / "missing"):
            pass


@contextmanager
def no_file_beyond(size):
    """Let the system refuse to write more into any file, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_nothing_is_left_of_events_that_could_not_be_written_whole(tmp_path):
    async with FileSubscriber(folder=tmp_path) as subscriber:
        await subscriber.handle(in_order(1))
        size = (tmp_path / "events.jsonl").stat().st_size
        with no_file_beyond(size + 300), pytest.raises(OSError, match="too large"):
            await subscriber.handle(in_order(5, first=2))
        assert (tmp_path / "events.jsonl").stat().st_size == size
        await subscriber.handle(in_order(1, first=7))
    assert [line["id"] for line in lines(tmp_path)] == ["1", "7"]

from datetime import UTC, datetime, timedelta

import pytest

from dagrun.domain.ids import RANDOM_BYTES, is_id, run_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_later_run_has_a_greater_id_whatever_the_random_part():
    earlier = run_id(NOW, b"\xff" * RANDOM_BYTES)
    later = run_id(NOW + timedelta(milliseconds=1), b"\x00" * RANDOM_BYTES)
    assert earlier < later
    assert is_id(earlier)


@pytest.mark.parametrize("text", ["", "..", "a/b", "%2e%2e", "a" * 129, "a\0", "a\n", "ü"])
def test_what_could_mean_something_to_a_path_is_no_id(text):
    assert not is_id(text)

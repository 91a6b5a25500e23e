from datetime import UTC, datetime, timedelta

import pytest

from dagrun.domain.ids import RANDOM_BYTES, is_id, run_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_later_run_has_a_greater_id_whatever_the_random_part():
    earlier = run_id(NOW, b"\xff" * RANDOM_BYTES)
    later = run_id(NOW + timedelta(milliseconds=1), b"\x00" * RANDOM_BYTES)
    assert earlier < later
    assert is_id(earlier)


@pytest.mark.parametrize("microsecond", [0, 1, 998, 999, 122_999, 999_998])
def test_of_two_runs_of_one_millisecond_the_later_one_has_the_greater_id(microsecond):
    now = NOW + timedelta(microseconds=microsecond)
    earlier = run_id(now, b"\xff" * RANDOM_BYTES)
    later = run_id(now + timedelta(microseconds=1), b"\x00" * RANDOM_BYTES)
    assert earlier < later
    assert len({earlier[:10], run_id(now, b"\x00" * RANDOM_BYTES)[:10]}) == 1


@pytest.mark.parametrize("text", ["", "..", "a/b", "%2e%2e", "a" * 129, "a\0", "a\n", "ü"])
def test_what_could_mean_something_to_a_path_is_no_id(text):
    assert not is_id(text)

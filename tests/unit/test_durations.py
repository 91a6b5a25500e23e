import pytest

from dagrun.domain.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(30, 30.0), (0.5, 0.5), ("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25)],
)
def test_a_duration_is_read_as_seconds(written, seconds):
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [True, None, "", "5", "-5s", -1, "5 m", float("nan"), [30], "5m5m", "1s1h", "\uff13s"],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.42s"), (12.34, "12.3s"), (59.99, "1m00s"), (245, "4m05s"), (3720, "1h02m")],
)
def test_a_duration_is_written_for_a_person(seconds, text):
    assert format_duration(seconds) == text

from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.retry import next_delay, time_left
from dagrun.domain.workflow import RetryPolicy

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 5000),
    first_delay=st.floats(0, 1e6),
    backoff=st.floats(1, 100),
    max_delay=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
)


@given(policies, st.integers(1, 5000), st.floats(0, 1, exclude_max=True))
def test_a_wait_never_passes_its_cap_and_attempts_never_their_number(policy, attempt, draw):
    delay = next_delay(policy, attempt, draw)
    if attempt >= policy.max_attempts:
        assert delay is None
    else:
        assert 0 <= delay <= policy.max_delay or policy.first_delay == 0 == delay


@given(st.floats(0, 1e6), st.floats(-1e9, 1e9))
def test_what_is_left_of_a_wait_is_between_nothing_and_all_of_it(delay, elapsed):
    assert 0 <= time_left(delay, elapsed) <= delay

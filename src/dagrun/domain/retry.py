"""How long to wait before the next attempt, if there is one."""

from dagrun.domain.workflow import RetryPolicy


def next_delay(policy: RetryPolicy, attempt: int, draw: float) -> float | None:
    """Give the seconds between a failure and the next attempt, or None for no more attempts.

    >>> policy = RetryPolicy(max_attempts=4, first_delay=1, backoff=3, max_delay=5, jitter=0.2)
    >>> [next_delay(policy, attempt, draw=0.5) for attempt in (1, 2, 3, 4)]
    [1.0, 3.0, 5.0, None]
    >>> next_delay(policy, 1, draw=0)  # the jitter takes a fifth away
    0.8

    Args:
        policy: the node's policy.
        attempt: number of the attempt that failed, from 1.
        draw: a random number in [0, 1) that decides the jitter.
    """
    if attempt >= policy.max_attempts:
        return None
    if policy.first_delay == 0:
        return 0.0
    try:
        delay = policy.first_delay * policy.backoff ** (attempt - 1)
    except OverflowError:
        delay = policy.max_delay
    delay = min(delay, policy.max_delay)
    return min(delay * (1 + policy.jitter * (2 * draw - 1)), policy.max_delay)


def time_left(delay: float, elapsed: float) -> float:
    """Give what is left of ``delay`` seconds, whatever the clocks of two processes say.

    A clock that was set back must not lengthen a wait, one that was set forward ends it.

    >>> [time_left(10, elapsed) for elapsed in (4, 11, -3600)]
    [6, 0.0, 10]
    """
    return min(max(delay - elapsed, 0.0), delay)

"""Print by how many megabytes a run of 10,000 nodes makes a process grow, at its largest."""

import resource
import sys

from benchmarks.measure import NOOP, chain, fan_out, seconds_of
from dagrun.domain.workflow import Durability


def main() -> None:
    """Run a small workflow, then the large one, and print the difference of the peaks."""
    seconds_of(chain(3, NOOP, Durability.BATCHED))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds_of(fan_out(int(sys.argv[1]), NOOP, Durability.BATCHED))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)


if __name__ == "__main__":
    main()

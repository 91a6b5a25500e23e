"""``python -m dagrun.testing.simulation FIRST LAST``: play seeded scripts, and tell what is wrong."""

import logging
import sys

from dagrun.testing.simulation.history import simulate
from dagrun.testing.simulation.scripts import random_script


def main() -> int:
    """Play the scripts of the seeds from FIRST to below LAST. Give 1 if anything is wrong."""
    first, last = map(int, sys.argv[1:])
    logging.disable(logging.CRITICAL)
    wrong = False
    for seed in range(first, last):
        for problem in simulate(random_script(seed)).problems:
            wrong = True
            sys.stdout.write(f"seed {seed}: {problem}\n")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())

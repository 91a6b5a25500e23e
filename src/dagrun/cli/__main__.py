"""``python -m dagrun.cli`` does the same as ``dagrun``."""

from dagrun.cli import main

main()

"""``python -m dagrun`` does the same as ``dagrun``."""

from dagrun.cli import main

main()

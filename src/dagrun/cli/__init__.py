"""The command line. Nothing heavy is imported before it is known what is wanted."""

import sys


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process with its exit code."""
    from dagrun.cli.app import run_command  # noqa: PLC0415 — the entry point stays light

    sys.exit(run_command(sys.argv[1:]))

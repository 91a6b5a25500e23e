"""The command line. Nothing heavy is imported before it is known what is wanted."""

import sys


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process with its exit code."""
    try:
        from dagrun.cli import output  # noqa: PLC0415 — the entry point stays light
        from dagrun.cli.app import run_command  # noqa: PLC0415 — as above

        output.prepare()
        code = run_command(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130  # as output.INTERRUPTED, which may not be imported yet
    sys.exit(code)

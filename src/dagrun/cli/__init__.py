"""The command line. Nothing heavy is imported before it is known what is wanted."""

import os
import signal
import sys
from types import FrameType

from dagrun.cli.imports import importing

INTERRUPTED = 130  # as output.INTERRUPTED, which may not be imported yet


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process with its exit code."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        with importing():
            from dagrun.cli import output  # noqa: PLC0415 — the entry point stays light
            from dagrun.cli.app import run_command  # noqa: PLC0415 — as above

        output.prepare()
        code = run_command(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    """End by SIGTERM as by Ctrl-C, which loops know how to bear; some have it ignored."""
    if not callable(signal.getsignal(signal.SIGINT)):
        os._exit(INTERRUPTED)
    signal.raise_signal(signal.SIGINT)

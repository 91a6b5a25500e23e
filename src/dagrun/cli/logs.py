"""The log of a role: lines on standard error, for people or for programs."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from dagrun.cli import output
from dagrun.cli.visible import visible, visible_json

Event = MutableMapping[str, Any]

TALKATIVE: Final = ("h11", "h2", "hpack", "httpcore", "httpx")
"""Libraries that tell of each request: addresses and headers, which hold tokens and secrets."""


def write_logs(form: str | None, level: str) -> None:
    """Let all that is logged go to standard error.

    Args:
        form: ``console`` or ``json``; None takes ``console`` on a terminal.
        level: what is below it is left out.
    """
    known: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    terminal = sys.stderr.isatty()
    if form == "json" or (form is None and not terminal):
        last: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
            _harmless_json,
        ]
    else:
        plain = structlog.dev.plain_traceback
        last = [
            _harmless,
            structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain),
        ]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(output.Notes())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=known, processors=[remove, *last])
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    if level != "debug":
        logging.getLogger().handlers[0].addFilter(_is_ours_or_grave)


def _is_ours_or_grave(record: logging.LogRecord) -> bool:
    """Leave out what libraries have to say of their everyday."""
    return record.name.startswith("dagrun") or record.levelno >= logging.WARNING


def _harmless(_logger: Any, _method: str, event: Event) -> Event:
    """Let what others say do nothing to a terminal."""
    event["event"] = str(event["event"])
    return {
        key: visible(value) if isinstance(value, str) else value for key, value in event.items()
    }


def _harmless_json(_logger: Any, _method: str, line: Any) -> str:
    """Do the same with a line of JSON, which some read on a terminal all the same."""
    return visible_json(str(line))

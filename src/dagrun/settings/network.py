"""What both roles read: how they reach each other, and what they say to people."""

from pathlib import Path
from typing import Final

import attrs

from dagrun.settings import parse
from dagrun.settings.reading import setting

LOG_FORMATS: Final = ("console", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """How a role reaches the other one, and what it logs."""

    transport_type: str = setting(
        parse.text, lambda: "grpc", about="How orchestrator and engines talk"
    )
    grpc_address: str = setting(
        parse.text, lambda: "127.0.0.1", about="Where to listen: the address of an interface"
    )
    max_connections: int = setting(
        parse.positive, lambda: 100, about="Most connections that are accepted"
    )
    connection_timeout: float = setting(
        parse.at_least(0.001), lambda: 30.0, about="Most time for a connection to come to be"
    )
    token: str | None = setting(
        parse.text, lambda: None, about="Shown to the other side, and asked of who connects"
    )
    tls_cert: Path | None = setting(
        parse.path, lambda: None, about="File with this side's certificate (PEM)"
    )
    tls_key: Path | None = setting(parse.path, lambda: None, about="File with its key (PEM)")
    tls_ca: Path | None = setting(
        parse.path, lambda: None, about="File with who signs the other side's certificates (PEM)"
    )
    log_format: str | None = setting(
        parse.one_of(*LOG_FORMATS), lambda: None, about="How lines of the log look: console or json"
    )
    log_level: str = setting(
        parse.one_of(*LOG_LEVELS), lambda: "info", about="Log nothing below this level"
    )

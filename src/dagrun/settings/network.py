"""What both roles read: how they reach each other, and what they say to people."""

from pathlib import Path

import attrs

from dagrun.settings import parse
from dagrun.settings.reading import setting


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """How a role reaches the other one, and what it logs."""

    transport_type: str = setting(
        parse.text, lambda: "grpc", about="How orchestrator and engines talk"
    )
    grpc_address: str = setting(
        parse.interface, lambda: "127.0.0.1", about="Where to listen: the address of an interface"
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
        parse.log_format, lambda: None, about="How lines of the log look: console or json"
    )
    log_level: str = setting(parse.log_level, lambda: "info", about="Log nothing below this level")

"""What commands read that ask a server."""

from pathlib import Path

import attrs

from dagrun.settings import parse
from dagrun.settings.reading import setting


@attrs.frozen(kw_only=True)
class ClientSettings:
    """Which server to ask, and how."""

    server: str | None = setting(parse.maybe_address, lambda: None)
    """``host:port`` of an orchestrator; None for none."""

    token: str | None = setting(parse.text, lambda: None)
    """What is shown to it."""

    transport_type: str = setting(parse.text, lambda: "grpc")
    connection_timeout: float = setting(parse.at_least(0.001), lambda: 30.0)
    """Most seconds for a connection to come to be."""

    tls_cert: Path | None = setting(parse.path, lambda: None)
    tls_key: Path | None = setting(parse.path, lambda: None)
    tls_ca: Path | None = setting(parse.path, lambda: None)

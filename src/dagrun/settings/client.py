"""What commands read that ask a server."""

from pathlib import Path

import attrs

from dagrun.settings import parse
from dagrun.settings.reading import setting


@attrs.frozen(kw_only=True)
class ClientSettings:
    """Which server to ask, and how."""

    server: str | None = setting(
        parse.maybe_address,
        lambda: None,
        about="The orchestrator to ask, as host:port; else the data directory is looked into",
    )
    token: str | None = setting(parse.text, lambda: None, about="Shown to it; others can see flags")
    transport_type: str = setting(parse.text, lambda: "grpc", about="How to talk with it")
    connection_timeout: float = setting(
        parse.at_least(0.001), lambda: 30.0, about="Most time for a connection to come to be"
    )
    tls_cert: Path | None = setting(
        parse.path, lambda: None, about="File with the certificate that is shown to it (PEM)"
    )
    tls_key: Path | None = setting(parse.path, lambda: None, about="File with its key (PEM)")
    tls_ca: Path | None = setting(
        parse.path, lambda: None, about="File with who signed its certificate (PEM)"
    )

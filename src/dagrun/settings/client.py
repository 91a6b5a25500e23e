"""What commands read that ask a server."""

from pathlib import Path
from typing import Final

import attrs

from dagrun.settings import parse
from dagrun.settings.reading import setting

SERVER: Final = "127.0.0.1:50051"
"""Who is asked for what only an orchestrator can do, if nobody is named and none leads the data
directory."""


@attrs.frozen(kw_only=True)
class ClientSettings:
    """Which server to ask, and how."""

    server: str | None = setting(
        parse.maybe_address,
        lambda: None,
        about="The orchestrator to ask, as host:port. Default: the data directory is looked into; "
        f"what needs an orchestrator asks the one that leads it, or {SERVER}",
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

"""What every setting is called, so that each command knows those of the others."""

from typing import Final

PREFIX: Final = "DAGRUN_"

PLAIN: Final = frozenset(
    {
        "capacity",
        "connection_timeout",
        "engine_discovery_interval",
        "engine_health_check_interval",
        "engine_id",
        "grpc_address",
        "grpc_port",
        "k8s_service_name",
        "load_balancer_nodes",
        "load_balancer_type",
        "max_connections",
        "port",
        "transport_type",
    }
)
"""Settings whose variables have no :data:`PREFIX`."""

PREFIXED: Final = frozenset(
    {
        "data_dir",
        "discovery",
        "engines",
        "grace",
        "http_allow",
        "labels",
        "lease",
        "log_format",
        "log_level",
        "orchestrator",
        "parallel",
        "paused",
        "queue_limit",
        "resources",
        "retention",
        "secrets_dir",
        "server",
        "store",
        "subscribers",
        "tls_ca",
        "tls_cert",
        "tls_key",
        "token",
        "workflows",
    }
)

TABLES: Final = frozenset({"labels", "resources"})
"""Settings that may be tables in the file."""

NAMES: Final = PLAIN | PREFIXED
"""All settings, of whichever command."""


def variable_of(name: str) -> str:
    """Give the variable of a setting."""
    return name.upper() if name in PLAIN else PREFIX + name.upper()


def flag_of(name: str) -> str:
    """Give the flag of a setting."""
    return "--" + name.replace("_", "-")

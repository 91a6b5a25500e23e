"""The ``configuration`` of a ``workflows/v1`` document.

Each of its ``secrets`` is one object of Kubernetes. An entry ``keys: {password: DB_PASSWORD}`` of
``{name: db, namespace: prod}`` becomes the secret ``DB_PASSWORD`` with the reference
``kubernetes:prod/db/password``. One without ``keys``, or with a ``mount_path``, is asked for as a
whole: ``db`` with the reference ``kubernetes:prod/db``; where it is to be mounted is kept under
``secret_mounts`` of the workflow's ``kubernetes``. Without ``namespace`` the first part is left
out, and means the namespace in which the workflow runs.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from dagrun.domain.document.places import Finding, Path, nearest
from dagrun.domain.document.structure import findings_of, shown, strict_converter

_KEYS: Final = ("secrets", "kubernetes", "env")
_LIMITS: Final = ("cpu", "memory")


@attrs.frozen(kw_only=True)
class Secret:
    """An object of Kubernetes that holds secrets."""

    name: str
    namespace: str | None = None
    keys: Mapping[str, str] = attrs.field(factory=dict)
    """Key in the object → variable."""

    mount_path: str | None = None


@attrs.frozen(kw_only=True)
class Kubernetes:
    """What the workflow asks of Kubernetes."""

    resource_limits: Mapping[str, Any] = attrs.field(factory=dict)
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    service_account: str | None = None


@attrs.define
class Configuration:
    """What ``configuration`` comes to in a newer document."""

    env: Any = None
    """Checked later, as the ``env`` of a newer document."""

    secrets: dict[str, str] | None = None
    """Name → reference."""

    places: dict[str, Path] = attrs.field(factory=dict)
    """Name of a secret → where it is written."""

    kubernetes: dict[str, Any] = attrs.field(factory=dict)
    findings: list[Finding] = attrs.field(factory=list)

    def complain(self, path: Path, message: str, *, on_key: bool = False) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(path=path, message=message, on_key=on_key))


def read_configuration(value: Any, path: Path) -> Configuration:
    """Read a ``configuration``; None is an empty one."""
    found = Configuration()
    if value is None:
        return found
    if not isinstance(value, Mapping):
        found.complain(path, f"a mapping is needed, not {shown(value)}")
        return found
    found.findings += [_unknown((*path, key), _KEYS) for key in value if key not in _KEYS]
    found.env = value.get("env")
    _read_kubernetes(found, value.get("kubernetes"), (*path, "kubernetes"))
    _read_secrets(found, value.get("secrets"), (*path, "secrets"))
    return found


def _structure(found: Configuration, value: Any, kind: Any, path: Path) -> Any:
    try:
        return strict_converter().structure(value, kind)
    except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
        found.findings += findings_of(error, path)
        return None


def _read_kubernetes(found: Configuration, value: Any, path: Path) -> None:
    if value is None:
        return
    read = _structure(found, value, Kubernetes, path)
    if read is None:
        return
    for key, amount in read.resource_limits.items():
        place = (*path, "resource_limits", key)
        if key not in _LIMITS:
            found.findings.append(_unknown(place, _LIMITS))
        elif isinstance(amount, bool) or not isinstance(amount, int | float | str):
            found.complain(place, f"an amount such as 500m or 1Gi is needed, not {shown(amount)}")
    found.kubernetes = attrs.asdict(read, filter=lambda _, part: bool(part))


def _read_secrets(found: Configuration, value: Any, path: Path) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        found.complain(path, f"a list is needed, not {shown(value)}")
        return
    found.secrets = {}
    for number, entry in enumerate(value):
        place = (*path, number)
        secret = _structure(found, entry, Secret, place)
        if secret is not None:
            _add_secret(found, secret, place)


def _add_secret(found: Configuration, secret: Secret, path: Path) -> None:
    source = f"{secret.namespace}/{secret.name}" if secret.namespace else secret.name
    for key, variable in secret.keys.items():
        _add(found, variable, f"kubernetes:{source}/{key}", (*path, "keys", key))
    if secret.mount_path is not None:
        mount = {"name": secret.name, "mount_path": secret.mount_path}
        mounts = found.kubernetes.setdefault("secret_mounts", [])
        mounts.append({**mount, **({"namespace": secret.namespace} if secret.namespace else {})})
    if secret.mount_path is not None or not secret.keys:
        _add(found, secret.name, f"kubernetes:{source}", (*path, "name"))


def _add(found: Configuration, name: str, reference: str, path: Path) -> None:
    if found.secrets is None or found.secrets.get(name, reference) != reference:
        found.complain(path, f"{name!r} is the name of an earlier secret")
        return
    found.secrets[name] = reference
    found.places[name] = path


def _unknown(path: Path, known: tuple[str, ...]) -> Finding:
    key = str(path[-1])
    message = f"the key {key!r} is not known here"
    return Finding(path=path, message=message, suggestion=nearest(key, known), on_key=True)

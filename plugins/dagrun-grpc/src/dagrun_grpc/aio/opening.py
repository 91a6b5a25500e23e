"""What a call begins with, as far as grpclib has no answer to it."""

import re
from collections.abc import Collection
from typing import Final

from grpclib import Status
from grpclib.metadata import decode_bin_value

Headers = Collection[tuple[str, str]]

NEEDED: Final = (":method", ":path")
_TIMEOUT: Final = re.compile(r"(?=[0-9])0*+([0-9]{0,8})[HMSmun]", re.ASCII)
"""At most eight digits, as the protocol has it; zeros before them do no harm."""


def unfit(headers: Headers) -> tuple[Status, str] | None:
    """Say why a call cannot be answered that begins so; None if it can."""
    missing = [name for name in NEEDED if name not in dict(headers)]
    if missing:
        return Status.INVALID_ARGUMENT, f"the call has no {missing[0]}"
    for name, value in headers:
        if name == "grpc-timeout" and (problem := _unfit_timeout(value)):
            return problem
        if _is_of_a_user(name) and not _is_binary(value):
            return Status.INVALID_ARGUMENT, f"{name[:60]} is no base64"
    return None


def _unfit_timeout(value: str) -> tuple[Status, str] | None:
    matched = _TIMEOUT.fullmatch(value)
    if matched is None:
        return Status.INVALID_ARGUMENT, f"grpc-timeout: {value[:60]!r} is none"
    if not matched[1]:
        return Status.DEADLINE_EXCEEDED, "the call came with no time left"
    return None


def _is_of_a_user(name: str) -> bool:
    """Whether it is binary metadata that grpclib decodes."""
    return name.endswith("-bin") and not name.startswith((":", "grpc-"))


def _is_binary(value: str) -> bool:
    try:
        decode_bin_value(value.encode())
    except ValueError:
        return False
    return True

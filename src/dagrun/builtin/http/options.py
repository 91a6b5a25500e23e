"""What a document says under ``executor`` of an ``http`` node."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

import attrs

from dagrun.domain.durations import LONGEST, parse_duration
from dagrun.domain.jsonvalue import MAX_OUTPUT

CONNECT_TIMEOUT: Final = 10.0  # seconds
IDLE_TIMEOUT: Final = 300.0  # seconds; answers that are computed may take minutes
MAX_REDIRECTS: Final = 10
MOST_REDIRECTS: Final = 50

# Patterns are compiled on use: that takes more time than the rest of this module.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, 5.6.2
_CONTROL: Final = r"[\x00-\x08\x0a-\x1f\x7f]"  # all but the tab
_METHOD: Final = r"[A-Za-z]+(?:-[A-Za-z]+)*"
_CLASS: Final = r"([2-5])[xX][xX]"
_NUMBER: Final = r"[2-5][0-9][0-9]"
_URL: Final = r"(?i:https?)://(?P<authority>[^/?#\\]+)"

_FORBIDDEN_METHODS: Final = frozenset({"CONNECT", "TRACE"})
_OURS: Final = "x-dagrun-"
_FRAMING: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "te", "trailer", "expect"),
        *("connection", "keep-alive", "upgrade", "proxy-connection", "proxy-authorization"),
    }
)
"""Headers that say how a message is delivered; a wrong one could smuggle in a second request."""

Scalar = str | int | float | bool | None


class Absent:
    """Stands for an option that was not given, where null is a value like any other."""


ABSENT: Final = Absent()


@attrs.frozen(kw_only=True)
class BasicAuth:
    """A user's name and password, for the header ``Authorization``."""

    username: str = ""
    password: str = ""

    def __attrs_post_init__(self) -> None:
        """Check what RFC 7617 forbids."""
        if ":" in self.username:
            raise ValueError("'username' of 'auth' may hold no ':'")
        if re.search(_CONTROL, self.username + self.password):
            raise ValueError("'auth' may hold no control characters")


@attrs.frozen(kw_only=True)
class HttpOptions:
    """Options of the ``http`` executor."""

    url: str
    """``http://…`` or ``https://…``, without a user's name."""

    method: str = "GET"

    params: Mapping[str, Any] = attrs.field(factory=dict)
    """Added to the query: name → value, or list of values; null leaves one out."""

    headers: Mapping[str, Any] = attrs.field(factory=dict)
    """Name → value; null leaves one out."""

    auth: BasicAuth | None = None

    json: Any = ABSENT
    """A body as JSON."""

    body: str | None = None
    """A body as text, sent in UTF-8."""

    form: Mapping[str, Any] | None = None
    """A body as web forms send it: name → value, or list of values."""

    expect: int | str | list[int | str] = "2xx"
    """Status codes that are no failure: ``201``, ``2xx``, or a list of such."""

    follow_redirects: bool = True
    max_redirects: int | None = None

    max_bytes: int = MAX_OUTPUT
    """Most bytes of the answer's body, when it is unpacked."""

    connect_timeout: float | str = CONNECT_TIMEOUT
    """A duration: most time to resolve the name, connect, and agree on TLS."""

    idle_timeout: float | str = IDLE_TIMEOUT
    """A duration: most time in which not a single byte moves."""

    verify: bool = True
    """Whether the server's certificate is checked."""

    ca_file: str | None = None
    """Certificates to trust instead of the system's; PEM, beside the document."""

    cert_file: str | None = None
    """A certificate to show to the server; PEM, beside the document."""

    key_file: str | None = None
    """Its key, unless ``cert_file`` holds that, too."""

    def __attrs_post_init__(self) -> None:
        """Check one option after the other, the URL last.

        The URL is often filled in only when the node starts; nothing else must wait for it.
        """
        for problem in chain(_problems(self), _url_problems(self.url)):
            raise ValueError(problem)

    def expects(self, status: int) -> bool:
        """Whether a status is no failure."""
        return any(_matches(wanted, status) for wanted in _listed(self.expect))

    def has_own_tls(self) -> bool:
        """Whether connections of this node differ from those of other nodes."""
        return not self.verify or self.ca_file is not None or self.cert_file is not None


def as_text(value: Scalar) -> str:
    """Write one value as in JSON, but text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give the names and values of ``params`` or ``form``; a list gives its name many times."""
    return [
        (name, as_text(value))
        for name, values in fields.items()
        for value in (values if isinstance(values, list | tuple) else [values])
        if value is not None
    ]


def _problems(options: HttpOptions) -> Iterator[str]:
    """Find what is wrong; last what depends on values that are often filled in later."""
    yield from _method_problems(options.method)
    yield from _header_name_problems(options.headers)
    yield from _together_problems(options)
    yield from _number_problems(options)
    for wanted in _listed(options.expect):
        if not (re.fullmatch(_NUMBER, str(wanted)) or re.fullmatch(_CLASS, str(wanted))):
            yield f"'expect': {_shown(wanted)} is no status; write 200 to 599, or 2xx to 5xx"
    if not _listed(options.expect):
        yield "'expect' names no status"
    yield from _header_value_problems(options.headers)
    yield from _field_problems("params", options.params)
    yield from _field_problems("form", options.form or {})


def _method_problems(method: str) -> Iterator[str]:
    if not re.fullmatch(_METHOD, method) or method.upper() in _FORBIDDEN_METHODS:
        yield f"'method': {_shown(method)} is no method such as GET, POST, PUT, PATCH or DELETE"


def _header_name_problems(headers: Mapping[str, Any]) -> Iterator[str]:
    seen = set()
    for name in headers:
        lower = name.lower()
        if not re.fullmatch(_NAME, name):
            yield f"'headers': {_shown(name)} is no name of a header"
        elif lower in _FRAMING:
            yield f"'headers': {name} is set by dagrun itself"
        elif lower.startswith(_OURS):
            yield f"'headers': {name}: names that begin with X-Dagrun- are reserved"
        elif lower in seen:
            yield f"'headers': {name} is there twice"
        seen.add(lower)


def _header_value_problems(headers: Mapping[str, Any]) -> Iterator[str]:
    for name, value in headers.items():
        if not _is_scalar(value):
            yield f"'headers': {name}: text is needed, not {_shown(value)}"
        elif re.search(_CONTROL, as_text(value)):
            yield f"'headers': {name}: line breaks and control characters are refused"


def _field_problems(option: str, fields: Mapping[str, Any]) -> Iterator[str]:
    for name, values in fields.items():
        for value in values if isinstance(values, list | tuple) else [values]:
            if not _is_scalar(value):
                yield f"'{option}': {name}: text or a number is needed, not {_shown(value)}"


def _together_problems(options: HttpOptions) -> Iterator[str]:
    bodies = (options.json is not ABSENT, options.body is not None, options.form is not None)
    if sum(bodies) > 1:
        yield "give only one of 'json', 'body' and 'form'"
    if options.auth is not None and "authorization" in map(str.lower, options.headers):
        yield "give either 'auth' or the header Authorization"
    if options.max_redirects is not None and not options.follow_redirects:
        yield "'max_redirects' has no effect: 'follow_redirects' is false"
    if options.ca_file is not None and not options.verify:
        yield "'ca_file' has no effect: 'verify' is false"
    if options.key_file is not None and options.cert_file is None:
        yield "'key_file' has no effect without 'cert_file'"


def _number_problems(options: HttpOptions) -> Iterator[str]:
    if not 1 <= options.max_bytes <= MAX_OUTPUT:
        yield f"'max_bytes': a number from 1 to {MAX_OUTPUT} is needed, not {options.max_bytes}"
    if options.max_redirects is not None and not 1 <= options.max_redirects <= MOST_REDIRECTS:
        wanted = f"a number from 1 to {MOST_REDIRECTS} is needed"
        yield f"'max_redirects': {wanted}, not {options.max_redirects}"
    for option in ("connect_timeout", "idle_timeout"):
        try:
            seconds = parse_duration(getattr(options, option))
        except ValueError as error:
            yield f"'{option}': {error}"
        else:
            if not 0 < seconds <= LONGEST:
                yield f"'{option}': a time above 0 is needed, not {seconds:g}"


def _url_problems(url: str) -> Iterator[str]:
    match = re.match(_URL, url)
    if match is None:
        yield f"'url': {_shown(url)} does not begin with http:// or https:// and a host"
    elif "@" in match["authority"]:
        yield "'url' may hold no user's name; write 'auth'"
    elif re.search(_CONTROL, url) or " " in match["authority"]:
        yield "'url': line breaks, control characters, and spaces in the host are refused"


def _listed(expect: int | str | list[int | str]) -> list[int | str]:
    return expect if isinstance(expect, list) else [expect]


def _matches(wanted: int | str, status: int) -> bool:
    match = re.fullmatch(_CLASS, str(wanted))
    return status // 100 == int(match[1]) if match else status == int(wanted)


def _shown(value: object) -> str:
    return f"{value!r:.60}"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)

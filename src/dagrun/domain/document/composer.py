"""YAML text to values that remember where they stand.

Values are built from the parser's events, without recursion, so that hostile nesting costs
nothing. Of YAML 1.2 the core scalars are known; anchors, aliases, tags, merge keys and several
documents in one text are refused.
"""

import re
from datetime import date
from itertools import islice
from typing import Any, Final

import yaml

from dagrun.errors import DefinitionError, Problem

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes that a document, or a file that it names, may have."""

MAX_LEVELS: Final = 64
MAX_PROBLEMS: Final = 1000
"""Things that are told to be wrong with the text of one document."""

MAX_DIGITS: Final = 300
"""Digits that a number may have."""

Place = tuple[int, int]
"""Line and column, both from 1."""

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the pure one is slow but equal
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML's parser sees it
_TAG_LINE: Final = re.compile("(?:^|[\n\r\x85\u2028\u2029])(%TAG)")
_SURROGATES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DATE: Final = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?:[Tt ].*)?")
_WORDS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMERIC: Final = frozenset("0123456789-+.")  # what numbers and dates begin with


class MarkedDict(dict[str, Any]):
    """An object that knows where its keys and values stand."""

    __slots__ = ("_mark", "_marks")

    def __init__(self, mark: Any) -> None:
        super().__init__()
        self._mark = mark
        self._marks: dict[str, tuple[Any, Any]] = {}  # the parser's; few of them are asked for

    @property
    def place(self) -> Place:
        """Where it begins."""
        return _place(self._mark)

    def put(self, key: str, value: Any, of_key: Any, of_value: Any) -> None:
        """Take a value in, and the parser's marks of its key and of itself."""
        self[key] = value
        self._marks[key] = of_key, of_value

    def place_of(self, key: str, *, itself: bool = False) -> Place:
        """Say where the value of a key stands, or the key ``itself``."""
        of_key, of_value = self._marks[key]
        return _place(of_key if itself else of_value)


class MarkedList(list[Any]):
    """An array that knows where its elements stand."""

    __slots__ = ("_mark", "_marks")

    def __init__(self, mark: Any) -> None:
        super().__init__()
        self._mark = mark
        self._marks: list[Any] = []

    @property
    def place(self) -> Place:
        """Where it begins."""
        return _place(self._mark)

    def put(self, value: Any, mark: Any) -> None:
        """Take a value in, and the parser's mark of it."""
        self.append(value)
        self._marks.append(mark)

    def place_of(self, index: int) -> Place:
        """Say where an element stands."""
        return _place(self._marks[index])


class _Wrong(Exception):
    """The text is wrong at a place, and cannot be read any further."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place


def compose(text: str | bytes) -> MarkedDict:
    """Read a document whose root is an object.

    Raises:
        DefinitionError: with line and column; the file is not named.
    """
    problems: list[Problem] = []
    try:
        text = _decode(text)
        root = _Composer(problems).compose(text)
    except _Wrong as wrong:
        problems.append(_problem(str(wrong), wrong.place))
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark)
        problems.append(_problem(_complaint(error, str(text), place), place))
    except yaml.YAMLError as error:
        problems.append(_problem(f"this is no YAML: {error}", (1, 1)))
    if problems:
        raise DefinitionError(problems)
    return root


def plain(value: Any) -> Any:
    """Copy a value without its places."""
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value


def _decode(text: str | bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _Wrong(f"the document has more than {MAX_BYTES} bytes", (1, 1))
    if isinstance(text, bytes):
        text = _from_utf8(text)
    text = text.lstrip("\ufeff")
    if text.lstrip().startswith("{"):
        text = _SURROGATES.sub(_joined, text)
    _refuse_directives(text)
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        name = f"U+{ord(bad[0]):04X}"
        raise _Wrong(f"the character {name} is not allowed", _place_behind(text[: bad.start()]))
    return text


def _joined(match: re.Match[str]) -> str:
    """Join the two escapes in which JSON may write one character; YAML knows no such pairs."""
    high, low = int(match[2], 16), int(match[3], 16)
    return match[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _refuse_directives(text: str) -> None:
    """Refuse ``%TAG``, of which many take the parser minutes; tags are not known anyway.

    The parser takes it wherever a line begins with it, whatever a line ends with.
    """
    found = _TAG_LINE.search(text)
    if found is not None:
        raise _Wrong("directives are not allowed", _place_behind(text[: found.start(1)]))


def _from_utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise _Wrong("this byte is not valid UTF-8", _place_behind(before)) from None


def _place_behind(text: str) -> Place:
    ends = [0, *(match.end() for match in _LINE_END.finditer(text))]
    return len(ends), len(text) - ends[-1] + 1


class _Composer:
    """Builds values from events. ``problems`` takes what does not end the reading.

    A document of 10,000 nodes has 200,000 events, so the way of a scalar is kept short.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._stack: list[MarkedDict | MarkedList] = []
        self._mapping: MarkedDict | None = None
        """The innermost container, if it is an object."""

        self._list: MarkedList | None = None
        """The innermost container, if it is an array."""

        self._root: Any = None
        self._key: str | None = None
        """The key whose value comes next."""

        self._key_mark: Any = None

    def compose(self, text: str) -> MarkedDict:
        parser = _Parser(text)
        handle = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open_mapping,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceStartEvent: self._open_list,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
            yaml.DocumentEndEvent: _nothing,
            yaml.StreamStartEvent: _nothing,
            yaml.StreamEndEvent: _nothing,
        }
        try:
            for event in iter(parser.get_event, None):
                handle[type(event)](event)
        finally:
            parser.dispose()
        if not isinstance(self._root, MarkedDict):
            place = getattr(self._root, "place", (1, 1))
            said = "the document is empty" if self._root is None else "a mapping is needed here"
            raise _Wrong(said, place)
        return self._root

    def _scalar(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            _refuse_extras(event)
        value = event.value
        if event.implicit[0] and (value in _WORDS or value[0] in _NUMERIC):
            value = _resolve(value, event.start_mark)
        if self._mapping is not None and self._key is None:
            self._take_key(value, event)
        else:
            self._put(value, event.start_mark)

    def _take_key(self, value: Any, event: Any) -> None:
        mark = event.start_mark
        if not isinstance(value, str):
            raise _Wrong(f"a key must be text; put {event.value!r} into quotes", _place(mark))
        if value == "<<":
            raise _Wrong("merge keys are not allowed", _place(mark))
        if self._mapping is not None and value in self._mapping:
            self._problems.append(_problem(f"the key {value!r} stands here twice", _place(mark)))
            if len(self._problems) >= MAX_PROBLEMS:
                raise _Wrong("more is wrong than is told", _place(mark))
        self._key, self._key_mark = value, mark

    def _put(self, value: Any, mark: Any) -> None:
        if self._mapping is not None and self._key is not None:
            self._mapping.put(self._key, value, self._key_mark, mark)
            self._key = None
        elif self._list is not None:
            self._list.put(value, mark)
        elif self._root is None:
            self._root = value

    def _alias(self, event: Any) -> None:
        raise _Wrong("aliases are not allowed", _place(event.start_mark))

    def _document(self, event: Any) -> None:
        if self._root is not None:
            raise _Wrong("a file holds one document", _place(event.start_mark))

    def _open_mapping(self, event: Any) -> None:
        mapping = MarkedDict(event.start_mark)
        self._open(mapping, event)
        self._mapping, self._list = mapping, None

    def _open_list(self, event: Any) -> None:
        listed = MarkedList(event.start_mark)
        self._open(listed, event)
        self._mapping, self._list = None, listed

    def _open(self, container: MarkedDict | MarkedList, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            _refuse_extras(event)
        if len(self._stack) >= MAX_LEVELS:
            raise _Wrong(f"more than {MAX_LEVELS} levels are nested here", container.place)
        if self._mapping is not None and self._key is None:
            raise _Wrong("a key must be text", container.place)
        self._put(container, event.start_mark)
        self._stack.append(container)

    def _close(self, _: Any) -> None:
        self._stack.pop()
        top = self._stack[-1] if self._stack else None
        self._mapping = top if isinstance(top, MarkedDict) else None
        self._list = top if isinstance(top, MarkedList) else None


def _nothing(_: Any) -> None:
    """Take an event that says nothing."""


def _refuse_extras(event: Any) -> None:
    if event.anchor is not None:
        raise _Wrong("anchors are not allowed", _place(event.start_mark))
    if event.tag is not None:
        raise _Wrong(f"the tag {event.tag} is not known", _place(event.start_mark))


def _resolve(text: str, mark: Any) -> Any:
    """Give the value of a plain scalar that may be more than text."""
    if text in _WORDS:
        return _WORDS[text]
    place = _place(mark)
    if len(text) > MAX_DIGITS and (_FLOAT.fullmatch(text) or _INTEGER.fullmatch(text)):
        raise _Wrong(f"a number may have {MAX_DIGITS} digits", place)
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return _float(text, place)
    if _NO_NUMBER.fullmatch(text):
        raise _Wrong(f"{text} is no number that JSON can hold", place)
    return _date(text, place)


def _float(text: str, place: Place) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Wrong(f"{text} is too large a number", place)
    return number


def _date(text: str, place: Place) -> str:
    """Leave dates as text, but refuse those that no calendar has."""
    found = _DATE.fullmatch(text)
    if found is not None:
        try:
            date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            raise _Wrong(f"there is no date {text}; put text into quotes", place) from None
    return text


def _place(mark: Any) -> Place:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _complaint(error: yaml.MarkedYAMLError, text: str, place: Place) -> str:
    line = next(islice(_LINE_END.split(text), place[0] - 1, None), "")
    if line[place[1] - 1 : place[1]] == "\t":
        return "a tab stands here; indent with spaces"
    context = f"{error.context}: " if error.context else ""
    return f"this is no YAML: {context}{error.problem}{_quotes(line, place[1])}"


def _quotes(line: str, column: int) -> str:
    """Say which text needs quotes, if that is probably what is wrong at a column."""
    if line[column - 2 : column] == "${" or re.search(r":\s+\$\{[^}]*$", line[: column - 1]):
        return "; put a text that holds ${…} into quotes"
    if line[column - 1 : column] in (*"@`%",):
        return f"; put a text that begins with {line[column - 1]} into quotes"
    if re.match(r":(\s|$)", line[column - 1 :]) and line[: column - 1].count(": "):
        return "; put a text that holds ': ' into quotes"
    return ""


def _problem(message: str, place: Place) -> Problem:
    return Problem(message=message, line=place[0], column=place[1])

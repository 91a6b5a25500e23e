"""Text of nodes, documents and files, made fit for a terminal."""

import re
from typing import Final

# Control characters, what ends a line elsewhere, what turns the direction of writing, surrogates.
# These are compiled on use: most of what is shown has nothing of the kind.
_UNFIT: Final = "[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_UNFIT_IN_LINES: Final = _UNFIT.replace("\0-\x1f", "\0-\x08\x0b-\x1f")
_SHORT: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def visible(text: str) -> str:
    r"""Give a text as one line that does nothing to a terminal but to stand there.

    >>> print(visible("\x1b[2J wiped\nand forged"))
    \x1b[2J wiped\nand forged
    """
    return text if text.isprintable() else re.sub(_UNFIT, _escape, text)


def visible_lines(text: str) -> str:
    """Do the same with a text of several lines, and with tabs."""
    return re.sub(_UNFIT_IN_LINES, _escape, text.replace("\r\n", "\n"))


def visible_json(text: str) -> str:
    """Do the same with JSON, which stays what it is to who reads it."""
    return re.sub(_UNFIT_IN_LINES, lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

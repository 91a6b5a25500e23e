"""What people write who know other programs, and what it is called here."""

from collections.abc import Collection, Mapping
from typing import Final

from dagrun.domain.document.places import nearest

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "args": ("command",),
    "bash": ("code", "command"),
    "cmd": ("command",),
    "condition": ("when",),
    "delay": ("first_delay",),
    "depends": ("dependencies",),
    "dependsOn": ("dependencies",),
    "depends_on": ("dependencies",),
    "environment": ("env",),
    "foreach": ("for_each",),
    "if": ("when",),
    "loop": ("for_each",),
    "needs": ("dependencies",),
    "run": ("command", "code"),
    "script": ("command", "code"),
    "with_items": ("for_each",),
}
"""Key → what is meant by it, where that is known."""

_OF_EXECUTORS: Final = frozenset(
    ("args", "callable", "cmd", "code", "command", "cwd", "file", "run", "script", "type", "url")
)

_EXECUTORS: Final = {
    "bash": "shell",
    "command": "shell",
    "curl": "http",
    "exec": "shell",
    "py": "python",
    "python3": "python",
    "request": "http",
    "rest": "http",
    "script": "shell",
    "sh": "shell",
    "zsh": "shell",
}


def likely_key(key: str, known: Collection[str]) -> str | None:
    """Give the known key that is probably meant, or several.

    >>> likely_key("run", ["command", "code"]), likely_key("needs", ["id", "dependencies"])
    ('command or code', 'dependencies')
    >>> likely_key("command", ["id", "executor"])
    'executor: {command: …}'
    """
    if key in _OF_EXECUTORS and "executor" in known:
        return f"executor: {{{key}: …}}"
    meant = [word for word in _KEYS.get(key, ()) if word in known]
    return " or ".join(meant) or nearest(key, known)


def likely_executor(name: str, known: Collection[str]) -> str | None:
    """Give the executor that is probably meant.

    >>> likely_executor("bash", ["lua", "shell"]), likely_executor("pyhton", ["lua", "python"])
    ('shell', 'python')
    """
    meant = _EXECUTORS.get(name)
    return meant if meant in known else nearest(name, known)

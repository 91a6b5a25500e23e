"""Functions that ``python`` nodes call inline, imported from beside their documents."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, cast


class Functions:
    """Imports each function once.

    A process has one place for each module name. Two documents of different folders may not
    both fill it: each would silently get the other's code.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, Path | None], Callable[..., Any]] = {}
        self._bases: set[Path] = set()

    def get(self, name: str, base: Path | None) -> Callable[..., Any]:
        """Give the function ``package.module:function``.

        The folder ``base`` comes first on the path while it is imported. It stays at the end,
        for what the function imports when it is called.

        Raises:
            ImportError: also when it needs a module whose name another folder's has taken.
        """
        key = (name, base)
        if key not in self._found:
            self._found[key] = _resolve(name, base, self._bases)
        return self._found[key]


def _resolve(name: str, base: Path | None, bases: set[Path]) -> Callable[..., Any]:
    module, _, path = name.partition(":")
    if base is None:
        found: Any = importlib.import_module(module)
    else:
        _refuse_other(module.partition(".")[0], base)
        with _first_on_path(base), _hidden(_namesakes(base, bases), base):
            found = importlib.import_module(module)
        bases.add(base)
    for part in path.split("."):
        found = getattr(found, part)
    return cast("Callable[..., Any]", found)  # calling it shows whether it is one


@contextmanager
def _first_on_path(base: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(base))
    try:
        yield
    finally:
        sys.path[:] = before
    if str(base) not in before:
        sys.path.append(str(base))


def _refuse_other(package: str, base: Path) -> None:
    """Refuse a function whose own module would not be the one beside the document."""
    loaded = sys.modules.get(package)
    if loaded is not None and _has_other(package, loaded, base):
        raise _taken(package, loaded, base)


def _namesakes(base: Path, bases: set[Path]) -> dict[str, ModuleType]:
    """Find modules of other documents' folders that have another module's name in this one."""
    others = {str(other) for other in bases if other != base}
    return {
        name: module
        for name, module in list(sys.modules.items())
        if "." not in name and _folder(module) in others and _has_other(name, module, base)
    }


def _folder(module: ModuleType) -> str | None:
    """Give the folder in which a module or package was found."""
    origin = getattr(module, "__file__", None)
    if origin is None:
        return None
    file = Path(origin)
    return str(file.parent.parent if file.name == "__init__.py" else file.parent)


def _has_other(name: str, loaded: ModuleType, base: Path) -> bool:
    """Whether the folder has another module of that name than the one that is loaded."""
    wanted = PathFinder.find_spec(name, [str(base)])
    if wanted is None or wanted.origin is None:
        return False
    origin = getattr(loaded, "__file__", None)
    return origin is None or not Path(origin).samefile(wanted.origin)


@contextmanager
def _hidden(modules: dict[str, ModuleType], base: Path) -> Iterator[None]:
    """Let modules be gone for a while, so that importing one of them fails."""
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]  # None is "no such module"
    try:
        yield
    except ImportError as error:
        loaded = modules.get(error.name or "")
        if loaded is None:
            raise
        raise _taken(error.name or "", loaded, base) from error
    finally:
        sys.modules.update(modules)


def _taken(name: str, loaded: ModuleType, base: Path) -> ImportError:
    origin = getattr(loaded, "__file__", None) or "the interpreter"
    return ImportError(
        f"{name!r} cannot be imported from {base}: another module of that name is there already, "
        f"from {origin}; use another name, or isolation: process"
    )

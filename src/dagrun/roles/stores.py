"""The store that an operator names."""

from pathlib import Path
from typing import Final

import attrs

from dagrun.errors import ConfigError
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Store
from dagrun.roles.local import DATABASE

SQLITE: Final = "sqlite"


@attrs.frozen
class Place:
    """A store, and the directory whose lock says who leads it."""

    store: Store
    directory: Path
    file: Path | None = None
    """What it is kept in; None if that is for the store to say."""

    @property
    def may_be_filled(self) -> bool:
        """Whether there may be something in it."""
        return self.file is None or self.file.exists()


def make_store(registry: Registry, name: str, data_dir: Path) -> Place:
    """Make the store of a name such as ``sqlite:`` or ``sqlite:///var/lib/dagrun.db``.

    Others than SQLite are given the whole name, if there is something behind the colon.

    Args:
        registry: the plugins.
        name: what was chosen.
        data_dir: the data directory, where SQLite's is unless something else is said.

    Raises:
        ConfigError: there is no such store.
    """
    kind, _, rest = name.partition(":")
    factory = registry.stores.get(kind)
    if kind == SQLITE:
        file = _file(name, rest) if rest else data_dir / DATABASE
        return Place(factory(path=file), file.parent, file)
    return Place(factory(url=name) if rest else factory(), data_dir)


async def has_tokens(place: Place) -> bool:
    """Whether everybody needs a token. It opens the store, so only who leads may ask."""
    async with place.store as store:
        return bool(await store.tokens())


def _file(name: str, rest: str) -> Path:
    if not rest.startswith("///") or rest == "///":
        raise ConfigError(f"the store {name!r} is none; write {SQLITE}:///path")
    return Path(rest.removeprefix("//"))

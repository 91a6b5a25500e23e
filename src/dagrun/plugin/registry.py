"""One typed shelf for each kind of plugin."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

import attrs

from dagrun.errors import PluginConflict, UnknownPlugin
from dagrun.ports.balancer import Balancer
from dagrun.ports.discovery import Discovery
from dagrun.ports.executor import Executor
from dagrun.ports.secrets import SecretProvider
from dagrun.ports.store import Store
from dagrun.ports.subscriber import Subscriber
from dagrun.ports.transport import Transport
from dagrun.ports.trigger import TriggerKind

T = TypeVar("T")

CORE: Final = "dagrun"
"""What stands as the plugin of entries that no plugin's hook added."""


@attrs.frozen
class Entry(Generic[T]):
    """One thing on a shelf."""

    name: str
    factory: Callable[..., T]
    plugin: str
    """Name of the entry point that put it there."""


class Shelf(Generic[T]):
    """The plugins of one kind, by name."""

    def __init__(self, kind: str, registry: "Registry") -> None:
        self.kind = kind
        self._registry = registry
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, factory: Callable[..., T]) -> None:
        """Put a factory on the shelf.

        Raises:
            PluginConflict: the name is taken; the message says by which plugin.
        """
        taken = self._entries.get(name)
        if taken is not None:
            raise PluginConflict(
                f"{self._registry.plugin} and {taken.plugin} both add the {self.kind} {name!r}"
            )
        self._entries[name] = Entry(name, factory, self._registry.plugin)

    def get(self, name: str) -> Callable[..., T]:
        """Give a factory.

        Raises:
            UnknownPlugin: nothing of that name is installed; lists what is.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownPlugin(self.kind, name, sorted(self._entries))
        return entry.factory

    def entries(self) -> Mapping[str, Entry[T]]:
        """Give what is here now."""
        return dict(self._entries)

    def put_back(self, entries: Mapping[str, Entry[T]]) -> None:
        """Let the shelf hold what it held when :meth:`entries` was called."""
        self._entries = dict(entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())


class Registry:
    """What the installed plugins offer. Each start fills a fresh one."""

    def __init__(self) -> None:
        self.plugin = CORE
        self.executors: Shelf[Executor] = Shelf("executor", self)
        self.stores: Shelf[Store] = Shelf("store", self)
        self.triggers: Shelf[TriggerKind] = Shelf("trigger", self)
        self.balancers: Shelf[Balancer] = Shelf("balancer", self)
        self.secrets: Shelf[SecretProvider] = Shelf("secrets", self)
        self.transports: Shelf[Transport] = Shelf("transport", self)
        self.discoveries: Shelf[Discovery] = Shelf("discovery", self)
        self.subscribers: Shelf[Subscriber] = Shelf("subscriber", self)

    def shelves(self) -> tuple[Shelf[Any], ...]:
        """Give all shelves, in the order in which ``dagrun plugins`` lists them."""
        return (
            self.executors,
            self.stores,
            self.triggers,
            self.balancers,
            self.secrets,
            self.transports,
            self.discoveries,
            self.subscribers,
        )

    @contextmanager
    def filled_by(self, plugin: str) -> Iterator[None]:
        """Name the plugin whose hook runs inside the ``with`` block.

        If it fails, all that it put on the shelves is taken away.
        """
        held = [(shelf, shelf.entries()) for shelf in self.shelves()]
        before, self.plugin = self.plugin, plugin
        try:
            yield
        except BaseException:
            for shelf, entries in held:
                shelf.put_back(entries)
            raise
        finally:
            self.plugin = before

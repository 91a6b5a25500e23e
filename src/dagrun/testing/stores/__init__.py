"""What every store must do, as tests to inherit.

:class:`StoreSuite` is made of a class for each thing that a store does, each in a module of its own;
:class:`DurableStoreSuite` is for stores that keep things on a disk. ``records`` has what they share.
"""

from dagrun.testing.stores.durable import DurableStoreSuite
from dagrun.testing.stores.suite import StoreSuite

__all__ = ["DurableStoreSuite", "StoreSuite"]

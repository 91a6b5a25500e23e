"""Whether this process is a worker that is just importing the module of a node's function.

Such a module may be the very program that uses dagrun. Whatever it does when it is imported, a
worker does, too.
"""

module: str | None = None
"""The module, while it is being imported."""

"""The executor ``http``: a request, and its answer.

``options`` is what documents say, and is light. The rest loads the HTTP library, and is imported
when the executor is opened: ``connect`` and ``tls``, ``request`` (headers, redirects),
``response`` (bounded bodies, outputs), ``client`` (from the options to the outputs).
"""

from dagrun.builtin.http.executor import HttpExecutor
from dagrun.builtin.http.options import HttpOptions

__all__ = ["HttpExecutor", "HttpOptions"]

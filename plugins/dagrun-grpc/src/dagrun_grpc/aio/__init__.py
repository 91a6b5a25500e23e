"""What is built on grpclib.

Python runs this before any module of the package, and so before grpclib is imported, which would else
find an asyncio that knows nothing of trio's loops.
"""

import logging
import warnings

with warnings.catch_warnings():  # of what it does for old releases of Python
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio as trio_asyncio

logging.getLogger("grpclib").setLevel(logging.CRITICAL)  # it writes a traceback for any nonsense
logging.getLogger("asyncio").addFilter(
    lambda record: (
        record.msg != "socket.send() raised exception."
    )  # one for each answer that is late
)

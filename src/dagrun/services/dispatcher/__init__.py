"""Gives queued runs to engines as there is room.

:class:`Dispatcher` is made of parts that know only those above them: ``balancing`` (what chooses
engines), ``place`` and ``places`` (the engines), ``admission`` (slots of concurrency keys),
``placing`` (the queue, and where each run is), ``changes`` (of runs that no engine has), ``expiry``
and ``requests``.
"""

from dagrun.services.dispatcher.dispatcher import Dispatcher, DispatcherStatistics
from dagrun.services.dispatcher.ticket import Ticket

__all__ = ["Dispatcher", "DispatcherStatistics", "Ticket"]

"""Gives queued runs to engines as there is room."""

from dagrun.services.dispatcher.dispatcher import Dispatcher, DispatcherStatistics
from dagrun.services.dispatcher.ticket import Ticket

__all__ = ["Dispatcher", "DispatcherStatistics", "Ticket"]

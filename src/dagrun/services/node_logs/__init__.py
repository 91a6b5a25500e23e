"""What nodes print: one file an attempt and engine, bounded in size."""

from dagrun.services.node_logs.log_file import CAP, LogFile
from dagrun.services.node_logs.logs import NodeLogs

__all__ = ["CAP", "LogFile", "NodeLogs"]

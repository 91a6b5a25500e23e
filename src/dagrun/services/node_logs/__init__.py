"""What nodes print: one file an attempt and engine, bounded in size."""

from dagrun.services.node_logs.log_file import CAP, LogFile
from dagrun.services.node_logs.logs import NodeLogs
from dagrun.services.node_logs.reading import Reading

__all__ = ["CAP", "LogFile", "NodeLogs", "Reading"]

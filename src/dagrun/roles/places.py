"""What lies where in a data directory."""

from typing import Final

DATABASE: Final = "dagrun.db"
LOGS: Final = "logs"
SCRATCH: Final = "scratch"

"""The wiring: which services a process runs, and how they are joined."""

"""What can be asked for: of an orchestrator, in its own process, and of a data directory."""

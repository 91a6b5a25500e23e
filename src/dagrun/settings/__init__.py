"""What flags, environment and file say, read once."""

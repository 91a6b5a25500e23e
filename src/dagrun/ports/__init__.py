"""What the core asks of the outside, one small Protocol a file, and what plugins implement."""

"""The pure part: what a workflow is, and what follows from what has happened to a run.

Nothing in here waits, reads a clock, touches a file or draws a random number. Time, randomness
and expression results come in as values; what is to be done goes out as values.
"""

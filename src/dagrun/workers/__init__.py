"""Pools of pre-started worker processes, for executors whose code is not trusted."""

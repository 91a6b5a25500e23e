"""Pools of worker processes that are used again, for executors whose code is not trusted."""

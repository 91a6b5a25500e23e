"""Answers to those who manage an orchestrator.

There is a module for each kind of thing, as in :mod:`dagrun.ports.management`.
"""

from dagrun_grpc.aio.manage_serve.management import answers

__all__ = ["answers"]

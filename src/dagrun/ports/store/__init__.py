"""Where journal and definitions live.

:class:`Store` is made of small protocols, each in a module with the records that it takes and
gives: ``definitions`` (workflows), ``submissions`` (runs to be accepted), ``runs`` (how they
stand), ``slots`` (which of them are admitted), ``messages`` (what is posted to them), ``journals``
(what happened), ``commits`` (all that is written in one transaction), ``upkeep``, and
:mod:`dagrun.ports.tokens`. Who needs a part of it only may ask for that.
"""

from dagrun.ports.store.commits import Assignment, CommitResult, Commits, Refusal, Taken
from dagrun.ports.store.definitions import Definition, Definitions, Registration
from dagrun.ports.store.journals import Journals, Logged
from dagrun.ports.store.messages import Message, MessageKind, Messages, Posted
from dagrun.ports.store.runs import NodeRecord, RunRecord, Runs
from dagrun.ports.store.slots import Slots
from dagrun.ports.store.store import MAX_LIMIT, Store
from dagrun.ports.store.submissions import NewRun, Parent, Rejection, Request, Slot, Submissions
from dagrun.ports.store.upkeep import Upkeep

__all__ = [
    "MAX_LIMIT",
    "Assignment",
    "CommitResult",
    "Commits",
    "Definition",
    "Definitions",
    "Journals",
    "Logged",
    "Message",
    "MessageKind",
    "Messages",
    "NewRun",
    "NodeRecord",
    "Parent",
    "Posted",
    "Refusal",
    "Registration",
    "Rejection",
    "Request",
    "RunRecord",
    "Runs",
    "Slot",
    "Slots",
    "Store",
    "Submissions",
    "Taken",
    "Upkeep",
]

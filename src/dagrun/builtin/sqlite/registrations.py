"""The versions of workflows that were registered."""

import json
import sqlite3
from collections.abc import Collection, Sequence

from dagrun.builtin.sqlite.prune import delete_unused
from dagrun.builtin.sqlite.read import moment
from dagrun.domain.jsonvalue import Raw
from dagrun.errors import ConflictError
from dagrun.ports.store import Definition, Registration


def register(
    connection: sqlite3.Connection, registration: Registration, definition: Definition
) -> bool:
    """Store a version of a workflow. Give False if the same content is there already.

    Raises:
        ConflictError: the version is there with another content.
    """
    key = (registration.workflow_id, registration.version)
    row = connection.execute(
        "select definition_hash from workflows where workflow_id = ? and version = ?", key
    ).fetchone()
    if row is not None:
        if row[0] == registration.definition_hash:
            return False
        raise ConflictError(
            f"{registration.workflow_id} {registration.version} is registered with another content;"
            " a version never changes: give the new content a new version"
        )
    connection.execute(
        "insert or ignore into definitions values (?, ?)",
        (definition.hash, definition.body.decode()),
    )
    metadata = None if registration.metadata is None else bytes(registration.metadata).decode()
    time = registration.registered_at.isoformat(timespec="microseconds")
    connection.execute(
        "insert into workflows"
        " (workflow_id, version, definition_hash, metadata, base, registered_at)"
        " values (?, ?, ?, ?, ?, ?)",
        (*key, registration.definition_hash, metadata, registration.base, time),
    )
    return True


def unregister(
    connection: sqlite3.Connection, workflow_id: str, versions: Collection[str]
) -> Sequence[str]:
    """Delete versions of a workflow, and definitions that nothing else uses. Give what was there."""
    rows = connection.execute(
        "delete from workflows where workflow_id = ?"
        " and version in (select value from json_each(?)) returning version, definition_hash",
        (workflow_id, json.dumps(list(versions))),
    ).fetchall()
    delete_unused(connection, {hash_ for _, hash_ in rows})
    return [version for version, _ in rows]


def read_registrations(
    connection: sqlite3.Connection, workflow_id: str | None
) -> Sequence[Registration]:
    """Give the versions of a workflow, or of all, by id; newest registration last."""
    rows = connection.execute(
        "select workflow_id, version, definition_hash, metadata, base, registered_at from workflows"
        " where ?1 is null or workflow_id = ?1 order by workflow_id, registered_at, version",
        (workflow_id,),
    )
    return [
        Registration(
            workflow_id=row[0],
            version=row[1],
            definition_hash=row[2],
            metadata=None if row[3] is None else Raw(row[3].encode()),
            base=row[4],
            registered_at=moment(row[5]),
        )
        for row in rows
    ]

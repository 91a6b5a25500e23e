"""The Python nodes of ``pipeline.yaml``."""

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"


def find(batch_size: int) -> Mapping[str, Any]:
    """List the installed distributions in batches of at most ``batch_size``."""
    names = sorted({found.name for found in distributions() if found.name})
    batches = [names[start : start + batch_size] for start in range(0, len(names), batch_size)]
    print(f"{len(names)} distributions in {len(batches)} batches")
    return {"batches": batches}


def read(distributions: Sequence[str], batch: int) -> Mapping[str, Any]:
    """Read the metadata of one batch."""
    print(f"batch {batch}: {', '.join(distributions)}")
    return {"rows": [_row(distribution(name)) for name in distributions]}


def _row(found: Distribution) -> dict[str, Any]:
    files = [Path(str(found.locate_file(file))) for file in found.files or ()]
    return {
        "name": found.name,
        "version": found.version,
        "licence": _licence(found),
        "requires": len(found.requires or ()),
        "files": len(files),
        "size": sum(file.stat().st_size for file in files if file.is_file()),
    }


def _licence(found: Distribution) -> str:
    expression = found.metadata.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = found.metadata.get_all("Classifier") or []
    licences = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    return licences[0] if licences else "not stated"


def load(batches: Iterable[Mapping[str, Any]], run_id: str, fail: bool) -> Mapping[str, Any]:
    """Write all rows into an SQLite file that replaces the old one when it is complete."""
    if fail or os.environ.get("DAGRUN_ATTEMPT") == "1":
        raise sqlite3.OperationalError("database is locked")
    OUT.mkdir(exist_ok=True)
    unfinished, finished = OUT / f"{run_id}.db", OUT / "distributions.db"
    unfinished.unlink(missing_ok=True)
    rows = [row for batch in batches for row in batch["rows"]]
    connection = sqlite3.connect(unfinished)
    with connection:
        connection.execute(
            "create table distributions"
            " (name text primary key, version text, licence text, requires integer,"
            " files integer, size integer)"
        )
        connection.executemany(
            "insert into distributions values"
            " (:name, :version, :licence, :requires, :files, :size)",
            rows,
        )
    connection.close()
    unfinished.replace(finished)
    return {"database": str(finished), "rows": len(rows)}

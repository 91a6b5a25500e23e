"""``dagrun backup``: copy the database, and bring a copy back."""

import os
import shutil
from pathlib import Path

from dagrun.builtin.ownership import sole_use
from dagrun.builtin.sqlite.backup import remove_beside, replace
from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import has_database, run_async, with_store
from dagrun.errors import ConfigError, ConflictError, NotFound
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Store
from dagrun.roles.local import DATABASE
from dagrun.settings import Settings


def backup(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Copy the database to a new file. Give the exit code.

    Raises:
        NotFound: there is no database.
        StoreError: the copy cannot be written.
    """
    if not has_database(settings):
        raise NotFound(f"no run was ever started in {settings.data_dir}")

    target = file.absolute()

    async def act(store: Store) -> None:
        await store.backup(target)

    with_store(settings, load_with_warnings().registry, act)
    return _tell(f"{settings.data_dir / DATABASE} is copied to {file}", file, as_json=as_json)


def restore(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Bring a copy back as the database of the data directory. Give the exit code.

    What is there is kept beside it, with ``.replaced`` behind its name.

    Raises:
        ConflictError: a process uses the data directory, or there are two databases already.
        ConfigError: the copy cannot be read.
        StoreError: the copy is damaged, or no database of dagrun.
    """
    try:
        with sole_use(settings.data_dir):
            _restore(settings.data_dir / DATABASE, file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be brought back: {error.strerror or error}") from error
    return _tell(f"{file} is the database of {settings.data_dir} now", file, as_json=as_json)


def _restore(target: Path, file: Path) -> None:
    kept = target.with_name(DATABASE + ".replaced")
    if kept.exists():
        raise ConflictError(f"{kept} is there from an earlier restore; move it away first")
    fresh = target.with_name(DATABASE + ".restoring")
    remove_beside(fresh)
    try:
        _copy(file, fresh)
        _check(load_with_warnings().registry, fresh)
        replace(target, fresh, kept)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _copy(file: Path, fresh: Path) -> None:
    fresh.touch(mode=0o600)
    fresh.chmod(0o600)
    shutil.copyfile(file, fresh)
    with fresh.open("rb") as copied:
        os.fsync(copied.fileno())
    if not fresh.stat().st_size:  # which SQLite would take for a new database
        raise ConfigError(f"{file}: cannot be brought back: it is empty")


def _check(registry: Registry, fresh: Path) -> None:
    """Open the copy as a store, which migrates it if it is old."""
    store = registry.stores.get("sqlite")(path=fresh)

    async def call() -> None:
        async with store:
            await store.runs(limit=1)

    run_async(call)


def _tell(text: str, file: Path, *, as_json: bool) -> int:
    if as_json:
        output.say_json({"file": str(file)})
    else:
        output.say(text)
    return output.DONE

"""``dagrun runs prune``."""

from dagrun.builtin.ownership import live_owners, shared_use
from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.running import has_database, with_store
from dagrun.errors import ConfigError
from dagrun.ports.store import Store
from dagrun.roles.places import LOGS, SCRATCH
from dagrun.services.retention import RunFolders, prune, sweep
from dagrun.settings import Settings, parse


def prune_runs(settings: Settings, *, older_than: str | None, as_json: bool) -> int:
    """Delete runs that ended long ago, with all that runs left behind. Give the exit code.

    Raises:
        ConfigError: the age is none, or the data directory cannot be written to.
        ConflictError: the database is being restored.
    """
    keep = _age(settings, older_than)

    async def act(store: Store) -> int:
        logs, scratch = (
            RunFolders(settings.data_dir / LOGS),
            RunFolders(settings.data_dir / SCRATCH),
        )
        count = await prune(store, [logs, scratch], keep=keep, most=None)
        await sweep(store, logs, ended=False, unknown=nobody)
        await sweep(store, scratch, ended=True, unknown=nobody)
        return count

    def nobody() -> bool:
        # A living process may keep its runs in memory, and use their directories.
        return not live_owners(settings.data_dir)

    count = 0
    if has_database(settings):
        with shared_use(settings.data_dir):
            count = with_store(settings, load_with_warnings().registry, act)
    if as_json:
        output.say_json({"pruned": count})
    else:
        output.say(f"{count} runs are deleted")
    return output.DONE


def _age(settings: Settings, older_than: str | None) -> float:
    if older_than is None:
        if settings.retention is None:
            raise ConfigError("runs are kept for ever: name an age with --older-than")
        return settings.retention
    if older_than.replace(".", "").isdigit():
        raise ConfigError(f"--older-than: write a unit, such as {older_than}d or {older_than}h")
    try:
        age = parse.retention(older_than)
    except ValueError as error:
        raise ConfigError(f"--older-than: {error}, not {older_than!r}") from error
    if age is None:
        raise ConfigError("--older-than: a duration is needed")
    return age

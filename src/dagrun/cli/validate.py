"""``dagrun validate``."""

from collections.abc import Sequence
from pathlib import Path

from dagrun.cli import output
from dagrun.cli.plugins import load_with_warnings
from dagrun.errors import DefinitionError, Problem
from dagrun.roles.documents import catalogue, load_file


def validate_files(files: Sequence[Path], *, as_json: bool) -> int:
    """Tell everything that is wrong with some documents. Give the exit code."""
    registry = load_with_warnings().registry
    problems: list[Problem] = []
    for file in files:
        try:
            workflow = load_file(file, catalogue(registry))
        except DefinitionError as error:
            problems += error.problems
        else:
            if not as_json:
                output.say(f"{file}: valid ({workflow.id} {workflow.version})")
    if as_json:
        output.say_json({"valid": not problems, "errors": output.problems_json(problems)})
    else:
        for problem in problems:
            output.note(str(problem))
    return output.WRONG if problems else output.DONE

"""Inputs from flags and files."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from dagrun.domain.document.composer import compose, plain
from dagrun.domain.schema import MISSING, check_inputs, parse_inputs
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError, DefinitionError, InputError, Problem


def inputs_of(workflow: Workflow, pairs: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    """Give the inputs of a run, checked against the workflow's schema.

    Args:
        workflow: the workflow.
        pairs: ``key=value``, each from a flag.
        file: holds inputs; flags go before it. ``-`` is standard input.

    Raises:
        InputError: they do not fit.
        ConfigError: the file cannot be used.
    """
    given = _read_inputs(file) if file is not None else {}
    given |= parse_inputs(workflow.inputs, pairs)
    try:
        return check_inputs(workflow.inputs, given)
    except InputError as error:
        raise InputError([_with_flag(problem) for problem in error.problems]) from error


def _with_flag(problem: Problem) -> Problem:
    """Say of an input that is missing how it is given."""
    name = problem.path.removeprefix("inputs.")
    if problem.message != MISSING or "." in name or "[" in name:
        return problem
    return attrs.evolve(problem, message=f"{MISSING}; give it with -i {name}=…")


def _read_inputs(file: Path) -> dict[str, Any]:
    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"--inputs-file {name}: {reason}") from error
    try:
        inputs = json.loads(data, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if file.suffix == ".json":
            raise ConfigError(f"--inputs-file {name}: {error}") from error
        inputs = _read_yaml(data, name)
    if not isinstance(inputs, dict):
        raise ConfigError(f"--inputs-file {name}: an object is needed")
    return inputs


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; a key that is there twice is an error, as it is in YAML."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {key!r} stands here twice")
        made[key] = value
    return made


def _read_yaml(data: bytes, name: str) -> dict[str, Any]:
    try:
        inputs: dict[str, Any] = plain(compose(data))
    except DefinitionError as error:
        raise InputError([attrs.evolve(p, file=name) for p in error.problems]) from error
    return inputs

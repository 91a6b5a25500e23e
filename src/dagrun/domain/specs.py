"""Short ways to say in Python what carries out a node."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dagrun.domain.workflow import JSON, ExecutorSpec


def lua(code: str | None = None, *, file: str | None = None) -> ExecutorSpec:
    """Run a piece of Lua.

    >>> lua("return {rows = 3}").type
    'lua'

    Args:
        code: the code.
        file: a file that holds it instead, relative to the program. It is read when the workflow
            is registered.

    Raises:
        ValueError: both are given, or neither.
    """
    return ExecutorSpec(type="lua", options=_one_of(code=code, file=file))


def shell(
    command: str | Sequence[str] | None = None,
    *,
    code: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: str | None = None,
) -> ExecutorSpec:
    """Run a program: a list of arguments, or a text for ``sh -c``.

    >>> shell(["wc", "-l", "data.csv"]).options
    {'command': ['wc', '-l', 'data.csv']}

    Args:
        command: the program.
        code: a text for ``sh -c`` instead, in which ``${…}`` belongs to the shell.
        env: more variables.
        cwd: working directory, relative to the program; without it the run's scratch directory.
        stdin: standard input.

    Raises:
        ValueError: both ``command`` and ``code`` are given, or neither.
    """
    arguments = command if command is None or isinstance(command, str) else list(command)
    given = {"env": dict(env) if env else None, "cwd": cwd, "stdin": stdin}
    told = {name: value for name, value in given.items() if value is not None}
    return ExecutorSpec(type="shell", options={**_one_of(command=arguments, code=code), **told})


def _one_of(**options: JSON) -> dict[str, JSON]:
    given = {name: value for name, value in options.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"one of {' and '.join(options)} is needed")
    return given


def http(url: str, **options: Any) -> ExecutorSpec:
    """Send an HTTP request; the options are those of a document: ``method``, ``headers``, ``json``.

    >>> http("https://example.org/things", method="POST", json={"n": 1}).options["method"]
    'POST'
    """
    return ExecutorSpec(type="http", options={"url": url, **options})


def sub_workflow(
    workflow_id: str, version: str | None = None, *, wait: bool = True
) -> ExecutorSpec:
    """Run another workflow, with the node's inputs.

    >>> sub_workflow("loader", "^1.2").options
    {'id': 'loader', 'version': '^1.2'}

    Args:
        workflow_id: the other one.
        version: a version or a range of them; None takes ``^`` of the current one.
        wait: whether the node waits for the end of that run, and has its outputs.
    """
    options: dict[str, JSON] = {"id": workflow_id}
    if version is not None:
        options["version"] = version
    return ExecutorSpec(type="workflow", options=options if wait else {**options, "wait": False})


def python(
    function: Callable[..., Any] | str,
    *,
    cwd: str | None = None,
    isolation: Literal["process", "inline"] = "process",
) -> ExecutorSpec:
    """Call a Python function with the node's inputs as keyword arguments.

    Args:
        function: one that can be imported by its name, or ``package.module:function``.
        cwd: working directory, relative to the program; without it the run's scratch directory.
        isolation: ``process`` runs it in a worker, which can be stopped; ``inline`` in this very
            process, where it sees the program's objects, and must be async or quick.

    Raises:
        ValueError: the function cannot be found by a name, as a lambda or a nested function.
    """
    name = function if isinstance(function, str) else _name(function, isolation)
    options = {"callable": name, "isolation": isolation}
    if cwd is not None:
        options["cwd"] = cwd
    return ExecutorSpec(type="python", options=options)


def _name(function: Callable[..., Any], isolation: str) -> str:
    module, path = function.__module__, function.__qualname__
    if "<" in path:
        raise ValueError(f"{path} has no name to import it by; define it at the top of a module")
    if module == "__main__" and isolation == "process":
        module = _main_module(path)
    return f"{module}:{path}"


def _main_module(path: str) -> str:
    """Give the name by which a worker imports the program that runs."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    file = program_file()
    if file is None:
        raise ValueError(f"{path} is in no file that a worker could import; use isolation='inline'")
    return file.stem


def program_file() -> Path | None:
    """Give the file of the program that runs; None for ``python -c`` and one from standard input."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return None if file is None or file.startswith(("<", "/dev/")) else Path(file)

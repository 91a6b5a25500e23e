"""Checks code for ``${…}`` that was written as if dagrun filled it in there."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from dagrun.domain.check_parts import Findings, Site
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.places import Finding, Path
from dagrun.domain.workflow import ExecutorSpec

_REFERENCE: Final = re.compile(
    r"\$\{\s*(?P<name>inputs|nodes|run|item|item_index)(?P<rest>(?:[.\[][^{}]*)?)\}", re.ASCII
)


def check_code(
    spec: ExecutorSpec, path: Path, site: Site, catalogue: Catalogue, variables: Collection[str]
) -> Findings:
    """Tell what looks like an expression in a literal option, and is nothing to its language.

    Args:
        spec: the executor.
        path: where it stands.
        site: what expressions could use there.
        catalogue: what is installed.
        variables: names of its environment.
    """
    kind = catalogue.executors.get(spec.type)
    if kind is None or kind.unfilled is None:
        return
    for key in sorted(kind.literal_options & spec.options.keys()):
        text = spec.options[key]
        if not isinstance(text, str) or "${" not in text:
            continue
        known = {*variables, *_names(spec.options.get("env"))}
        for found in kind.unfilled(text):
            match = _REFERENCE.fullmatch(found)
            if match and _is_meant(match, site, known):
                message = f"{_short(found)} is not filled in here; hand it over in env"
                yield Finding(path=(*path, key), message=message)
                break


def _is_meant(match: re.Match[str], site: Site, variables: Collection[str]) -> bool:
    name, rest = match["name"], match["rest"]
    if name.startswith("item"):
        return name in site.names and name not in variables and not rest.startswith("[")
    return rest.startswith(".") and name in site.names


def _names(env: Any) -> Collection[str]:
    return env if isinstance(env, Mapping) else ()


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

"""The defaults of a JSON Schema: which are filled in, and whether they fit.

Those of ``properties`` are filled in, at every level, also where a ``$ref`` into the same schema
leads to ``properties``. Those below ``items``, ``allOf`` and the like are not: which of them are
meant depends on the value.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from dagrun.domain.document.places import Finding, Path
from dagrun.domain.evaluation import CannotCheck, Checker
from dagrun.domain.jsonvalue import MAX_DEPTH
from dagrun.domain.steps import Meter, TooManySteps, bulk

MAX_DEFAULT_STEPS: Final = 1_000_000
"""Steps that the check of all defaults of a schema may take, and that filling them in may take: about
a second."""


def fill_defaults(schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    """Put in the defaults that are missing.

    Raises:
        CannotCheck: they go on without end.
    """
    _Filling(schema, Meter(MAX_DEFAULT_STEPS)).fill(schema, value)


def default_findings(schema: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell which defaults that are filled in do not fit, of a schema that is right by itself."""
    members = [*_Parts(schema).members()]
    if not any("default" in member for member, _ in members):
        return
    checker, meter = Checker(schema), Meter(MAX_DEFAULT_STEPS)
    filling = _Filling(schema, meter)
    for (part, path), (brief, _) in zip(members, _Parts(checker.schema).members(), strict=True):
        if "default" not in part:
            continue
        place, name = (*path, "default"), path[-1]
        value = copy.deepcopy(part["default"])
        try:
            filling.fill(part, value)
            for error in checker.violations(value, part=brief, most=1, meter=meter):
                message = f"the default of {name!r} does not fit: {error.message}"
                yield Finding(path=place, message=message)
        except CannotCheck as error:
            message = f"the default of {name!r} cannot be checked: the schema {error}"
            yield Finding(path=place, message=message)
            return


class _Parts:
    """The parts of a schema whose defaults are filled in."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root

    def members(self) -> Iterator[tuple[Mapping[str, Any], Path]]:
        """Give each of them once, with its path."""
        waiting: list[tuple[Any, Path]] = [(self.root, ())]
        seen = set[int]()
        while waiting:
            part, path = waiting.pop()
            if not isinstance(part, Mapping) or id(part) in seen:
                continue
            seen.add(id(part))
            target = self.target(part)
            if target is not None:
                waiting.append(target)
            found = [(member, (*path, "properties", name)) for name, member in properties(part)]
            yield from (one for one in found if isinstance(one[0], Mapping))
            waiting.extend(reversed(found))

    def target(self, part: Mapping[str, Any]) -> tuple[Any, Path] | None:
        """Give what a ``$ref`` to another place in the same schema leads to."""
        reference = part.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: Any = self.root
        path: list[str | int] = []
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            path.append(int(key) if isinstance(found, list) and key.isdecimal() else key)
            try:
                found = found[path[-1]]
            except (LookupError, TypeError):
                return None
        return found, tuple(path)

    def same(self, part: Any) -> Iterator[Mapping[str, Any]]:
        """Give a part, and what its ``$ref`` leads to, and so on."""
        seen = set[int]()
        while isinstance(part, Mapping) and id(part) not in seen:
            seen.add(id(part))
            yield part
            target = self.target(part)
            part = None if target is None else target[0]


def properties(part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the members of ``properties``, if they are such."""
    members = part.get("properties")
    yield from members.items() if isinstance(members, Mapping) else ()


class _Filling:
    """Fills in defaults, up to a number of steps."""

    def __init__(self, root: Mapping[str, Any], meter: Meter) -> None:
        self._parts = _Parts(root)
        self._meter = meter

    def fill(self, schema: Any, value: Any, depth: int = 0) -> None:
        """Fill in a value that is to fit a part of the schema.

        Raises:
            CannotCheck: that goes on without end.
        """
        if not isinstance(value, dict):
            return
        if depth > MAX_DEPTH:
            raise CannotCheck("fills in its defaults without end")
        for part in self._parts.same(schema):
            for name, member in properties(part):
                self._take(1)
                if name not in value:
                    if not isinstance(member, Mapping) or "default" not in member:
                        continue
                    self._take(bulk(member["default"]))
                    value[name] = copy.deepcopy(member["default"])
                self.fill(member, value[name], depth + 1)

    def _take(self, steps: int) -> None:
        try:
            self._meter.take(steps)
        except TooManySteps:
            reason = f"takes more than {self._meter.steps} steps to fill in its defaults"
            raise CannotCheck(reason) from None

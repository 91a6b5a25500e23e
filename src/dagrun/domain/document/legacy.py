"""Documents of the older format ``workflows/v1``."""

from typing import Final

from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.composer import MarkedDict
from dagrun.domain.document.places import Finding
from dagrun.domain.workflow import Workflow

LEGACY: Final = "workflows/v1"


def modernise(root: MarkedDict, catalogue: Catalogue) -> tuple[Workflow | None, list[Finding]]:
    """Read an older document."""
    raise NotImplementedError

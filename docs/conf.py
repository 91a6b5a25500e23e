"""How Sphinx makes the site: ``sphinx-build -c docs . FOLDER`` from the checkout.

The whole repository is the source, so that the pages beside ``docs`` are on the site, and links
between pages are the same here and on a git host. Nothing is fetched: no fonts, no inventories of
other projects.
"""

import ast
import pkgutil
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

project = "dagrun"
release = version = installed("dagrun-core")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "examples/README.md",
    "newsfragments/README.md",
]
exclude_patterns = [
    ".*",
    "**/.*",
    "src",
    "tests",
    "plugins",
    "examples/out",
    "build",
]  # not even looked through

nitpicky = True
suppress_warnings = ["ref.python"]  # an attribute ``type`` beside the built-in: either is right

myst_heading_anchors = 4  # as a git host makes them

autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
maximum_signature_line_length = 120
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"dagrun {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]


def setup(app: Sphinx) -> None:
    """Connect what is below. Sphinx calls it."""
    app.connect("autodoc-process-docstring", read_sections)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("missing-reference", take_as_is)


def read_sections(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: Any) -> None:
    """Understand ``Args:`` and ``Raises:``.

    Napoleon as an extension would also take the words before a colon in an attribute's docstring
    for its type.
    """
    if what not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, thing, options).lines()


def shorten(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, gives: str
) -> tuple[str, str] | None:
    """Write ``...`` for a default that attrs makes anew for each object."""
    return (signature.replace("NOTHING", "..."), gives) if signature else None


def leave_out(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the tests of a suite: there are many, and nobody calls them."""
    return True if name.startswith("test_") else None


def take_as_is(app: Sphinx, env: Any, node: Any, text: Element) -> Element | None:
    """Show a name that has no page here without a link, if it exists; a wrong one is an error."""
    if node.get("refdomain") != "py":
        return None
    around = (node.get("py:module"), node.get("py:class"))
    names = [node["reftarget"], *(f"{place}.{node['reftarget']}" for place in around if place)]
    if any(map(exists, names)) or is_imported(node["reftarget"], node.get("py:module")):
        return text
    return None


def is_imported(name: str, module: str | None) -> bool:
    """Whether a module imports a name, be it for type checkers only."""
    spec = find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return False
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return any(alias.name == name for node in imports for alias in node.names)


def exists(name: str) -> bool:
    """Whether something in Python is called so."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return True

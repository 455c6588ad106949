"""How Sphinx builds the site: ``make docs``."""

from __future__ import annotations

import os
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent

project = "LionAGI QE Fleet"
author = "The LionAGI QE Fleet developers"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
html_title = f"{project} {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
# What a reader's browser loads is all in the site: no fonts, scripts or styles of others.
html_theme = "furo"
html_static_path = ["schemas"]
html_copy_source = False
html_show_sphinx = False

autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# Memory is lionagi_qe.Memory and lionagi_qe.persistence.Memory, as people import it.
suppress_warnings = ["ref.python"]

# Where the repository is on the web, as https://github.com/someone/lionagi-qe-fleet/blob/main. A
# site that was built without it has the linked files, and links to folders as plain text.
REPOSITORY = os.environ.get("AQE_DOCS_REPOSITORY", "").rstrip("/")
# Packages whose public names the reference describes. Some import them on first use, which dir()
# doesn't show.
DOCUMENTED = (
    "lionagi_qe",
    "lionagi_qe.coordination",
    "lionagi_qe.errors",
    "lionagi_qe.fleet",
    "lionagi_qe.integrations.key_value",
    "lionagi_qe.integrations.langgraph",
    "lionagi_qe.integrations.langgraph_checkpoints",
    "lionagi_qe.integrations.lionagi",
    "lionagi_qe.integrations.mcp",
    "lionagi_qe.learning",
    "lionagi_qe.persistence",
    "lionagi_qe.persistence.contract",
    "lionagi_qe.persistence.transfer",
    "lionagi_qe.telemetry",
    "lionagi_qe.testing.conformance",
    "lionagi_qe.testing.history",
    "lionagi_qe.testing.servers",
    "lionagi_qe.web",
)


def setup(app: Sphinx) -> None:
    """Let autodoc see what packages import on first use, and links leave the site."""
    for name in DOCUMENTED:
        module = import_module(name)
        for public in module.__all__:
            setattr(module, public, getattr(module, public))
    app.connect("doctree-read", link_to_repository)


def link_to_repository(app: Sphinx, tree: nodes.document) -> None:
    """Have links to what is in the repository, and not in the site, lead there."""
    # Pages that are another file's text, as the changelog, link from that file's place.
    folders = (Path(app.env.doc2path(app.env.docname)).parent, ROOT)
    for node in [*tree.findall(pending_xref), *tree.findall(download_reference)]:
        name = node["reftarget"] + (".md" if node.get("refdomain") == "doc" else "")
        found = [path for folder in folders if (path := (folder / name).resolve()).exists()]
        if not found or (found[0].is_file() and found[0].is_relative_to(HERE)):
            continue
        if REPOSITORY:
            address = f"{REPOSITORY}/{found[0].relative_to(ROOT).as_posix()}"
            node.replace_self(nodes.reference("", "", *node.children, refuri=address))
        elif isinstance(node, pending_xref):
            node.replace_self(node.children)

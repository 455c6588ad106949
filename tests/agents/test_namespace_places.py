"""What is installed of a project has no sources; its old namespace packages look in the copy."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.built import ROOTS, find_in_copy

if TYPE_CHECKING:
    from pathlib import Path

# As setuptools writes it for namespace_packages = ["street"].
NSPKG = (
    "import sys, types, os; p = os.path.join({site!r}, 'street'); "
    "m = sys.modules.setdefault('street', types.ModuleType('street')); "
    "mp = m.__dict__.setdefault('__path__', []); (p not in mp) and mp.append(p)\n"
)
LOOKS = "import site; site.addsitedir({site!r}); from street import other, shop; print(shop.NAME)"


def test_a_namespace_that_is_made_before_anything_is_imported_has_the_copy(tmp_path: Path) -> None:
    site, copy = tmp_path / "site", tmp_path / "copy"
    for folder, text in ((site, "other.py"), (copy, "__init__.py")):
        (folder / "street").mkdir(parents=True)
        (folder / "street" / text).touch()
    (copy / "street" / "shop.py").write_text("NAME = 'in the copy'\n")
    (site / "street-1-nspkg.pth").write_text(NSPKG.format(site=str(site)))
    find_in_copy(site)
    words = [sys.executable, "-I", "-c", LOOKS.format(site=str(site))]
    done = subprocess.run(
        words, env={**os.environ, ROOTS: str(copy)}, check=True, capture_output=True, text=True
    )
    assert done.stdout == "in the copy\n"

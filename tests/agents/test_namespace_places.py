"""What is installed of a project has no sources; its old namespace packages look in the copy."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.built import ROOTS, find_in_copy
from lionagi_qe.agents.environment.target import INJECTED

if TYPE_CHECKING:
    from pathlib import Path

# As setuptools writes it for namespace_packages = ["street"].
NSPKG = (
    "import sys, types, os; p = os.path.join({site!r}, 'street'); "
    "m = sys.modules.setdefault('street', types.ModuleType('street')); "
    "mp = m.__dict__.setdefault('__path__', []); (p not in mp) and mp.append(p)\n"
)
LOOKS = "import site; site.addsitedir({site!r}); from street import other, shop; print(shop.NAME)"


# And for an editable install, where the sources of the user's tree are.
EDITABLE = (
    "import sys, os, importlib.util, importlib.machinery; p = os.path.join({tree!r}, 'street'); "
    "found = importlib.machinery.PathFinder.find_spec('street', [{tree!r}]); "
    "m = sys.modules.setdefault('street', importlib.util.module_from_spec(found)); "
    "mp = m.__dict__.setdefault('__path__', []); (p not in mp) and mp.append(p)\n"
)
LAUNCHES = (
    "import runpy, site, sys; site.addsitedir({site!r}); sys.path[0] = {inject!r}; "
    "runpy.run_path({inject!r} + '/aqe_launch.py', run_name='__main__')"
)


def test_with_an_editable_install_the_launcher_finds_the_copy_and_not_the_users_tree(
    tmp_path: Path,
) -> None:
    site, tree, copy = (tmp_path / name for name in ("site", "tree", "copy"))
    site.mkdir()
    for place in (tree, copy):
        (place / "street").mkdir(parents=True)
        (place / "street" / "shop.py").write_text(f"NAME = {place.name!r}\n")
        (place / "street" / "__init__.py").touch()
    (copy / "shows.py").write_text("from street import shop; print(shop.NAME)\n")
    (site / "street-1-nspkg.pth").write_text(EDITABLE.format(tree=str(tree)))
    program = LAUNCHES.format(site=str(site), inject=str(INJECTED))
    words = [sys.executable, "-c", program, "", "", "", "", "shows"]
    env = {**os.environ, ROOTS: str(copy), "PYTHONPATH": str(copy)}
    done = subprocess.run(words, env=env, check=True, capture_output=True, text=True)
    assert done.stdout == "copy\n"


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

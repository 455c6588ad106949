"""What building a project makes beside its sources: extension modules, version files, metadata.

An environment keeps these. The project's own modules are taken out of it, so that tests run the
copy's modules, and one that the user deleted is gone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.settings import read_pyproject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from importlib.metadata import Distribution

_ASIDE = "built"
_COMPILED_SUFFIXES = frozenset({".c", ".cc", ".cpp", ".h", ".hpp", ".pxd", ".pyx", ".rs"})
_VERSION_FILES = ("VERSION", "*/__init__.py", "*/__about__.py", "*/_version.py", "*/version.py")


def build_inputs(source: Path) -> Iterator[Path]:
    """Yield the sources that decide what building makes: of extension modules, of the version.

    Where ``[project]`` states the version, no module does.
    """
    for path in source.rglob("*"):
        if path.suffix in _COMPILED_SUFFIXES and path.is_file():
            yield path
    project = read_pyproject(source).get("project")
    if isinstance(project, dict) and "version" in project:
        return
    for root in layout_of(source).roots:
        for pattern in _VERSION_FILES:
            yield from (path for path in root.glob(pattern) if path.is_file())


def shipped_names(environment: Path, source: Path) -> list[str]:
    """Return the top-level names that the project's build has put into an environment."""
    project = _installed_from(environment, source)
    return [] if project is None else sorted(_modules_of(project))


def _modules_of(project: Distribution) -> set[str]:
    return {
        file.parts[0].removesuffix(".py")
        for file in project.files or ()
        if file.suffix == ".py" and file.parts[0] != ".."
    }


def installed_version(environment: Path, source: Path) -> str | None:
    """Return the version that the project's build has; None if an environment hasn't got it."""
    project = _installed_from(environment, source)
    return None if project is None else project.version


def set_aside_sources(environment: Path, source: Path, pristine: Path) -> None:
    """Take the installed project's modules out of an environment; keep what building made.

    Args:
        environment: that the project was installed into.
        source: what it was built from, where building may have left files as well.
        pristine: the same as it was before.

    """
    project = _installed_from(environment, source)
    if project is None:
        return
    layout = layout_of(source, _modules_of(project))
    own = pristine / layout.roots[0].relative_to(source)
    for file in project.files or ():
        name = file.parts[0].removesuffix(".py")
        installed = Path(str(file.locate()))
        if name not in layout.names or not installed.is_file():
            continue
        if not (own / file).exists() and installed.suffix != ".pyc":
            kept = environment / _ASIDE / file
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(installed, kept)
        installed.unlink()


def adopt_built_files(environment: Path, source: Path, shipped: Collection[str]) -> None:
    """Put what building made beside the copy's own modules; see ``shipped_names``."""
    aside = environment / _ASIDE
    root = layout_of(source, shipped).roots[0]
    for built in aside.rglob("*"):
        target = root / built.relative_to(aside)
        if built.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(built, target)


def sites_of(environment: Path) -> list[Path]:
    """Return the directories of a virtual environment's packages."""
    return list(environment.glob("lib/python*/site-packages"))


def _installed_from(environment: Path, source: Path) -> Distribution | None:
    # Only where an environment is built; it takes longer to import than the rest of this module.
    from importlib.metadata import distributions

    sites = [str(path) for path in sites_of(environment)]
    for distribution in distributions(path=sites):
        origin = distribution.read_text("direct_url.json")
        if origin and json.loads(origin).get("url") == source.as_uri():
            return distribution
    return None

"""Directories in which a project's packages lie, as it tells the tool that builds it."""

from __future__ import annotations

import configparser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.metadata import setup_arguments
from lionagi_qe.agents.project.settings import read_pyproject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def declared_roots(source: Path) -> list[Path]:
    """Return those that are there, in the order in which they are declared; often none.

    Read are Maturin, setuptools (``pyproject.toml``, ``setup.cfg`` and plain data in ``setup.py``),
    Poetry, PDM, uv_build, Hatch and scikit-build-core.
    """
    names = [*_of_tools(read_pyproject(source).get("tool")), *_of_setuptools(source)]
    roots = (source / name for name in dict.fromkeys(names) if _is_below(name))
    return [root for root in roots if root.is_dir()]


def _of_tools(tool: object) -> Iterator[str]:
    """Yield what tables of ``[tool]`` say."""
    yield from _texts(_at(tool, "maturin", "python-source"))
    yield from _of_package_dir(_at(tool, "setuptools", "package-dir"))
    yield from _texts(_at(tool, "setuptools", "packages", "find", "where"))
    packages = _at(tool, "poetry", "packages")
    for package in packages if isinstance(packages, list) else ():
        yield from _texts(_at(package, "from"))
    yield from _texts(_at(tool, "pdm", "build", "package-dir"))
    yield from _texts(_at(tool, "uv", "build-backend", "module-root"))
    wheel = _at(tool, "hatch", "build", "targets", "wheel")
    yield from _parents(_at(wheel, "packages"))
    yield from _texts(_at(wheel, "sources"))
    yield from _parents(_at(tool, "scikit-build", "wheel", "packages"))


def _of_setuptools(source: Path) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(source / "setup.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # Told where its requirements are read, which matter more.
        return
    for line in parser.get("options", "package_dir", fallback="").splitlines():
        package, _, directory = line.partition("=")
        if not package.strip():
            yield directory.strip()
    yield from parser.get("options.packages.find", "where", fallback="").split()
    yield from _of_package_dir(setup_arguments(source).get("package_dir"))


def _of_package_dir(directories: object) -> Iterator[str]:
    """Yield where all packages lie that no other place is named for."""
    yield from _texts(_at(directories, ""))


def _at(value: object, *names: str) -> Any:  # noqa: ANN401 - whatever somebody wrote
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _texts(value: object) -> Iterator[str]:
    """Yield a text, or those of a list or of a table's names."""
    several: Iterable[object] = value if isinstance(value, list | dict) else [value]
    yield from (each for each in several if isinstance(each, str))


def _parents(value: object) -> Iterator[str]:
    """Yield where packages lie that are named with their directories."""
    yield from (PurePosixPath(name).parent.as_posix() for name in _texts(value))


def _is_below(name: str) -> bool:
    """Whether a name is that of a directory within the project, other than its top."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts

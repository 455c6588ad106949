"""Virtual environments of cells: with another Python, or other versions of what we depend on."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.matrix.fetching import NotHadError, interpreter, last_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.matrix.cell_list import Cell, Source

_INSTALL_SECONDS = 900
# What the contract's tests need.
_EXTRAS = "testing,encryption,otel,zstd"


def environment_of(cell: Cell, listed: Mapping[str, Source], cache: Path, root: Path) -> Path:
    """Return the interpreter that runs a cell: ours, or that of an environment made for it.

    Args:
        cell: whose.
        listed: interpreters, by version, that can be fetched where the machine has none.
        cache: where what is fetched, and environments, are kept.
        root: of this project, which is installed editable.

    Raises:
        NotHadError: the interpreter or a package can't be had.

    """
    if not cell.python:
        return Path(sys.executable)
    said = (root / "pyproject.toml").read_text(encoding="utf-8")
    label = hashlib.sha256(f"{said}{cell.python}{cell.resolution}{root}".encode()).hexdigest()[:12]
    folder = cache / "environments" / f"{cell.name}-{label}"
    python = folder / "bin" / "python"
    made = folder / ".made"
    if made.exists():
        return python
    for old in folder.parent.glob(f"{cell.name}-*"):
        shutil.rmtree(old)
    base = _interpreter(cell.python, listed, cache / "servers")
    try:
        _uv(["venv", "--quiet", "--python", base, str(folder)], root)
    except NotHadError as error:
        if base != cell.python:
            raise
        msg = f"no Python {cell.python} on this machine, and none downloaded ({error})"
        raise NotHadError(msg) from error
    _uv(
        [
            *("pip", "install", "--quiet", "--python", str(python)),
            *("--resolution", cell.resolution, "--group", "matrix"),
            *("--editable", f".[{_EXTRAS}]"),
        ],
        root,
    )
    made.touch()
    return python


def _interpreter(version: str, listed: Mapping[str, Source], cache: Path) -> str:
    """Return an interpreter of this machine or the list, else the version, for uv to look for."""
    name = f"python{version}"
    places = [Path(found) for found in [shutil.which(name)] if found]
    places += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    # A name on PATH may be one of pyenv's, which works for chosen versions only.
    for place in places:
        if _works(place):
            return str(place)
    if version not in listed:
        return version
    try:
        return str(interpreter(listed[version], cache))
    except NotHadError:
        return version


def _works(python: Path) -> bool:
    try:
        done = subprocess.run([python, "--version"], capture_output=True, check=False, timeout=30)
    except OSError:
        return False
    return done.returncode == 0


def _uv(words: Sequence[str], root: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    try:
        subprocess.run(
            [str(uv), *words],
            cwd=root,
            env={key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHadError(f"uv took more than {_INSTALL_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise NotHadError(f"uv: {last_line(error.stdout)}") from error

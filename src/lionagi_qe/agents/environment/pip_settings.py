"""What the user has set for pip, read as pip reads it, so that pip need not be there, nor start."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import site_config_dir, user_config_dir, user_data_dir

from lionagi_qe.errors import EnvironmentBuildError
from lionagi_qe.persistence.values.redacted_text import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FILE = "pip.conf"
# Later ones are stronger, whichever file says it.
_SECTIONS = ("global", "install")
_VARIABLE = "PIP_"


def pip_settings() -> dict[str, str]:
    """Return what files and variables tell ``pip install``: option -> value, as pip has them.

    A variable is stronger than all files, ``[install]`` than ``[global]``, and of two files the
    later one of pip's own order: that of the machine, the user, the environment, and the one that
    ``PIP_CONFIG_FILE`` names. Costs a look for some six files.

    Raises:
        EnvironmentBuildError: a file can't be read, at which pip itself would fail.

    Source: https://pip.pypa.io/en/stable/topics/configuration/

    """
    parsers = [_parsed(file) for file in _files()]
    variables = (each for each in os.environ.items() if each[0].startswith(_VARIABLE))
    layers = [
        *(_merged(parsers, section) for section in _SECTIONS),
        _normalized((name.removeprefix(_VARIABLE), value) for name, value in variables),
    ]
    # What is set to nothing hides what is said in weaker files, not in weaker sections.
    return {name: value for layer in layers for name, value in layer.items() if value}


def _files() -> Iterator[Path]:
    """Yield the files that pip reads and that are there, the strongest last."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    directories = site_config_dir("pip", appauthor=False, multipath=True).split(os.pathsep)
    directories += [] if sys.platform == "darwin" else ["/etc"]
    if not (named and Path(named).exists()):
        directories += [str(Path.home() / ".pip"), _of_user()]
    directories.append(sys.prefix)
    files = [Path(directory) / _FILE for directory in directories]
    files += [Path(named)] if named else []
    # What may not be read pip passes over, too.
    yield from (file for file in files if os.access(file, os.R_OK) and file.is_file())


def _of_user() -> str:
    if sys.platform == "darwin":
        library = user_data_dir("pip", appauthor=False)
        return library if Path(library).is_dir() else str(Path.home() / ".config" / "pip")
    return user_config_dir("pip", appauthor=False)


def _parsed(file: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        with file.open(encoding="locale") as lines:
            parser.read_file(lines)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise EnvironmentBuildError(
            f"pip's settings can't be read: {file}: {redact_text(' '.join(str(error).split()))}; "
            "mend that file, or name another with PIP_CONFIG_FILE"
        ) from error
    return parser


def _merged(parsers: Iterable[configparser.RawConfigParser], section: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for parser in parsers:
        merged |= _normalized(parser.items(section) if parser.has_section(section) else ())
    return merged


def _normalized(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return options by their long names, as they are on a command line."""
    return {name.lower().replace("_", "-").removeprefix("--"): value for name, value in items}

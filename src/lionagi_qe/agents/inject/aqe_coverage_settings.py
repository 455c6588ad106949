"""Adds the project's own settings of coverage.py to ours, as coverage.py itself reads them.

Runs in the project's directory, in the target's interpreter, before anything is measured: the
coverage.py there knows which file goes first, and what each of its settings means. Old syntax, the
standard library alone, as in ``aqe_launch``.
"""

from __future__ import annotations

import configparser
import os
import sys
from importlib.util import find_spec
from typing import Any

# What it is in our file -> what it is in coverage.py's configuration, where the project may add to
# ours. Where it keeps data, how paths stand in that data (ours are absolute), which code is
# measured and what it fails under is not asked.
_ADDED = {
    ("run", "omit"): ("run_omit", "report_omit"),
    ("run", "concurrency"): ("concurrency",),
    ("run", "plugins"): ("plugins",),
    ("run", "patch"): ("patch",),
    ("report", "exclude_lines"): ("exclude_list",),
    ("report", "partial_branches"): ("partial_list",),
}
# Named after the module that they need.
_THREADS = frozenset({"thread", "multiprocessing"})
# The section for ourselves: whether this is done, and which file the project names.
_OURS, _DONE = "aqe", "adopted"
# Of the patches that coverage.py knows those that write nothing; the others are ours to decide on.
_PATCHES = frozenset({"execv", "fork"})
# With this file coverage.py comes since it need not write it where processes are to be measured.
_STARTS_IN_PROCESSES = "a1_coverage.pth"


def adopt(rcfile: str) -> None:
    """Rewrite our configuration with what the project's own adds; once, however often called."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    ours = configparser.RawConfigParser()
    ours.read(rcfile, encoding="utf-8")
    if ours.has_option(_OURS, _DONE):
        return
    if not ours.has_section(_OURS):
        ours.add_section(_OURS)
    ours.set(_OURS, _DONE, "true")
    named = ours.get(_OURS, "settings", fallback=None)
    try:
        own: Any = Coverage(config_file=named or True).config
    except CoverageException as error:
        sys.stderr.write(f"the project's settings of coverage.py are left out: {error}\n")
    else:
        _add(ours, own)
    with open(rcfile, "w", encoding="utf-8") as file:  # noqa: PTH123
        ours.write(file)


def _add(ours: configparser.RawConfigParser, own: Any) -> None:  # noqa: ANN401 - private to it
    for (section, option), names in _ADDED.items():
        values = [value for name in names for value in getattr(own, name, None) or ()]
        if option in {"concurrency", "plugins"}:
            values = [value for value in values if _is_there(value)]
        if option == "patch":
            values = [value for value in values if value in _patches()]
        if not values:
            continue
        if not ours.has_section(section):
            ours.add_section(section)
        before = ours.get(section, option, fallback="").strip().splitlines()
        added = [each for each in map(_written, values) if each not in before]
        ours.set(section, option, "\n" + "\n".join([*before, *added]))
    if getattr(own, "sigterm", False):
        ours.set("run", "sigterm", "true")
    for plugin, options in getattr(own, "plugin_options", {}).items():
        if options and not ours.has_section(plugin):
            ours.read_dict({plugin: _texts(options)})


def _patches() -> frozenset[str]:
    import coverage

    beside = os.path.dirname(os.path.dirname(coverage.__file__))  # noqa: PTH120
    has_file = os.path.isfile(os.path.join(beside, _STARTS_IN_PROCESSES))  # noqa: PTH113, PTH118
    return _PATCHES | {"subprocess"} if has_file else _PATCHES


def _is_there(name: str) -> bool:
    """Whether a plugin, or the library of a kind of concurrency, can be imported here."""
    if name in _THREADS:
        return True
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _written(value: str) -> str:
    # As coverage.py has them, variables are filled in; a line that begins so would be a comment.
    text = value.replace("$", "$$")
    return f"(?:){text}" if text.startswith(("#", ";")) else text


def _texts(options: dict[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in options.items()}


def _text(value: object) -> str:
    if isinstance(value, dict):
        # There are no tables in INI; this is how plugins that take some write them there.
        return "\n" + "\n".join(f'"{text}": {name}' for name, text in value.items())
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)

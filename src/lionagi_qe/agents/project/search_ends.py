"""Where tools that look upwards for settings end: what lies above a copy is not the project's.

A copy lies where temporary files do, and there anybody may write: pytest would run a
``conftest.py`` that lies above, mypy load a plugin, uv take packages from an index named there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

_MARK = "# Here ends the search for settings: what lies above is not the project's.\n"
# Each is found first where it is, and says nothing.
_FILES = {
    "pytest.ini": f"{_MARK}[pytest]\n",
    "mypy.ini": f"{_MARK}[mypy]\n",
    "pyproject.toml": _MARK,
    "uv.toml": _MARK,
}


def end_searches(directory: Path) -> None:
    """Have tools that look for settings from below a directory look no further than here."""
    for name, text in _FILES.items():
        file = directory / name
        if not file.exists():
            file.write_text(text, encoding="utf-8")


def is_end(file: Path) -> bool:
    """Whether a file of settings only ends the search for them."""
    text = _FILES.get(file.name)
    return text is not None and file.read_text(encoding="utf-8", errors="replace") == text


def end_for_git() -> dict[str, str]:
    """Return the variable that has git look for a repository below temporary files alone."""
    return {"GIT_CEILING_DIRECTORIES": str(Path(tempfile.gettempdir()).resolve())}

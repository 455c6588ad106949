"""Cyclomatic complexities kept between runs: of most files they are those of the last run."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.agents.coverage.data import keep
from lionagi_qe.agents.project import complexity

if TYPE_CHECKING:
    from pathlib import Path


class KnownComplexities:
    """Complexities by the digest of a file's content.

    Args:
        path: where they are kept; there may be nothing yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by = [complexity.VERSION, sys.version]
        self._known = self._read()
        self._asked: dict[str, dict[str, int]] = {}

    def of(self, file: Path) -> tuple[dict[str, int], str | None]:
        """Return qualified function name -> complexity, and why there are none, if so."""
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            return complexity.complexities(file)
        found, problem = self._known.get(digest), None
        if found is None:
            found, problem = complexity.complexities(file)
        if problem is None:
            self._asked[digest] = found
        return found, problem

    def keep(self) -> None:
        """Write those that were asked for, if they are not what is kept already."""
        if self._asked == self._known:
            return
        keep(self._path, orjson.dumps({"by": self._by, "files": self._asked}))

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            kept: dict[str, Any] = orjson.loads(self._path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return kept["files"] if kept["by"] == self._by else {}

"""Cyclomatic complexities kept between runs: of most files they are those of the last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.kept_results import KeptResults, digest_of
from lionagi_qe.agents.project import complexity

if TYPE_CHECKING:
    from pathlib import Path


class KnownComplexities:
    """Complexities by the digest of a file's content.

    Args:
        path: where they are kept; there may be nothing yet.
    """

    def __init__(self, path: Path) -> None:
        self._kept = KeptResults(path, complexity.VERSION)

    def of(self, file: Path) -> tuple[dict[str, int], str | None]:
        """Return qualified function name -> complexity, and why there are none, if so."""
        try:
            digest = digest_of(file)
        except OSError:
            return complexity.complexities(file)
        known = self._kept.of(digest)
        if known is not None:
            return known, None
        found, problem = complexity.complexities(file)
        if problem is None:
            self._kept.add(digest, found)
        return found, problem

    def keep(self) -> None:
        """Write those that were asked for, if they are not what is kept already."""
        self._kept.keep()

"""What a change leaves untested, in words for every report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.fleet.run_record import HasFindings

_AGENT = "coverage-analyzer"


def changed_lines(run: HasFindings) -> Mapping[str, Any] | None:
    """Return what is known of the lines that changed since the base; None without a base."""
    return run.detail(_AGENT, "changed_lines") or None


def untested_places(changed: Mapping[str, Any]) -> list[str]:
    """Return the changed lines that no test ran, as ``file:430-432,440``."""
    return [f"{file}:{lines}" for file, lines in changed["missed"].items()]

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


def uncovered_code(run: HasFindings) -> str:
    """Return what runs the code of mutants that no test runs, to follow ``in code that``."""
    uncovered = run.metric("mutants_uncovered")
    on_import: int = run.detail("mutation-tester", "uncovered_on_import") or 0
    total = 0 if uncovered is None else uncovered.value or 0
    if not on_import:
        return "no test runs"
    if on_import >= total:
        return "runs on import alone"
    return f"no test runs ({on_import} in code that runs on import alone)"

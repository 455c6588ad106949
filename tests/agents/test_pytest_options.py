"""What other plugins add to pytest's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.execution.pytest_options import blocked_plugins

if TYPE_CHECKING:
    from pathlib import Path


def test_pytest_cov_measures_nothing_where_pytest_enabler_would_turn_it_on(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    installed = tmp_path / "lib" / "python3.11" / "site-packages"
    installed.mkdir(parents=True)
    assert blocked_plugins(python) == []
    (installed / "pytest_enabler").mkdir()
    assert blocked_plugins(python) == ["-p", "no:pytest_cov"]

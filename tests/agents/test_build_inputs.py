"""Which sources have an environment built anew when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.project.built_files import build_inputs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("declared", "inputs"),
    [
        ('version = "1"', {"fast.pyx"}),
        ('dynamic = ["version"]', {"fast.pyx", "__init__.py"}),
        (None, {"fast.pyx", "__init__.py"}),
    ],
)
def test_a_module_decides_on_the_build_where_it_may_hold_the_version(
    tmp_path: Path, declared: str | None, inputs: set[str]
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    for name in ("__init__.py", "fast.pyx", "till.py"):
        (shop / name).touch()
    if declared is not None:
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "shop"\n{declared}\n')
    assert {path.name for path in build_inputs(tmp_path)} == inputs

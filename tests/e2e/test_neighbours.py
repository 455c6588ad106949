"""Somebody else of the same host, who may write where temporary files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.e2e.conftest import Answer

pytestmark = pytest.mark.e2e

SHOP = {
    "shop.py": "def price():\n    return 1\n",
    "test_shop.py": """
        import subprocess
        import shop

        def test_price(pytestconfig):
            assert shop.price() == 1
            assert not pytestconfig.getini("markers")[:1] == ["planted"]

        def test_no_repository_is_found():
            asked = subprocess.run(["git", "rev-parse"], capture_output=True, text=True)
            assert "not a git repository" in asked.stderr
    """,
}


@pytest.mark.parametrize("settings", ["setup.py", "pytest.ini", "tox.ini", "pyproject.toml"])
def test_what_lies_above_temporary_files_is_not_read(
    examine: Callable[..., Answer],
    project: Callable[[Mapping[str, str]], Path],
    tmp_path: Path,
    settings: str,
) -> None:
    temporary, proof = tmp_path / "temporary", tmp_path / "proof"
    (temporary / ".git").mkdir(parents=True)
    (temporary / "conftest.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    text = {
        "setup.py": "",
        "pytest.ini": "[pytest]\nmarkers = planted\n",
        "tox.ini": "[pytest]\nmarkers = planted\n",
        "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = ['planted']\n",
    }
    (temporary / settings).write_text(text[settings])
    found = examine(project(SHOP), env={"TMPDIR": str(temporary)})
    assert found.exit_code == 0, found.out
    assert found.value("tests_passed") == 2
    assert not proof.exists()
    assert "configured by" not in found.out

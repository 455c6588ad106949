"""What pytest reads around a project that is a part of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.project.enclosing_tests import enclosing_tests_of
from lionagi_qe.agents.project.pytest_settings import enclosing_options, pytest_settings

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = {
    ".git/HEAD": "",
    "setup.cfg": "[tool:pytest]\npythonpath = testing\ntestpaths = tests\n",
    "conftest.py": "from tooling import x\npytest_plugins = ['plugins.orders', 'xdist']\n",
    "tooling.py": "import json, deep.down\n",
    "unrelated.py": "",
    "testing/deep/__init__.py": "",
    "testing/deep/down.py": "",
    "plugins/__init__.py": "",
    "plugins/orders.py": "",
    "packages/conftest.py": "import shop\n",
    "packages/shop/shop.py": "",
    "packages/shop/pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\n",
    "packages/own/pytest.ini": "",
    "packages/own/pyproject.toml": "[project]\nname = 'own'\nversion = '1'\n",
}


def test_settings_and_conftest_files_of_the_repository_are_found_with_what_they_import(
    tmp_path: Path,
) -> None:
    for name, text in REPOSITORY.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shop, own = tmp_path / "packages" / "shop", tmp_path / "packages" / "own"

    found = enclosing_tests_of(shop)
    assert found is not None
    assert found.top == tmp_path.resolve()
    assert sorted(path.relative_to(found.top).as_posix() for path in found.files) == [
        "conftest.py",
        "packages/conftest.py",
        "plugins",
        "setup.cfg",
        "testing",
        "testing/deep",
        "tooling.py",
    ]
    assert enclosing_options(shop) == ["--rootdir=.", "-o", "testpaths="]
    assert pytest_settings(shop)["testpaths"] == "tests"

    assert enclosing_tests_of(own) is None, "what it says itself holds, also if that is nothing"
    assert enclosing_options(own) == []
    assert enclosing_tests_of(tmp_path) is None

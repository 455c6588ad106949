"""What a project ships, held against twine, check-wheel-contents and pip called by hand."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.planted import plain
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

PACKAGE = ("--agents", "package-checker")
SOUND = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "shop"
        version = "1"
        readme = "README.md"
        dependencies = ["idna>=3.4"]
    """,
    "README.md": "# Shop\n",
    "shop/__init__.py": "import idna\n\nassert idna.encode\n",
}
# Its sdist lacks a module, its readme is broken, its wheel has tests at the top, one module twice.
FLAWED = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "shop"
        version = "1"
        readme = "README.rst"
        dependencies = ["idna"]

        [tool.hatch.build]
        exclude = ["shop/prices.py"]

        [tool.hatch.build.targets.wheel]
        packages = ["shop", "tests"]
    """,
    "README.rst": "Shop\n====\n\n.. nowhere:: x\n",
    "shop/__init__.py": "from shop.prices import price\n",
    "shop/prices.py": "price = 1\n",
    "shop/a.py": "VALUE = 'the same'\n",
    "shop/b.py": "VALUE = 'the same'\n",
    "tests/__init__.py": "",
}


def built(root: Path, tmp_path: Path) -> list[Path]:
    out = tmp_path / "by-hand"
    command = [find_uv_bin(), "build", "--quiet", "--out-dir", str(out), str(root)]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(path for path in out.iterdir() if path.suffix in {".whl", ".gz"})


def test_a_sound_package_has_no_problem_by_any_tool(examine: Examine, project: Write) -> None:
    answer = examine(project(SOUND), *PACKAGE)

    for name in (
        "package_build_failures",
        "package_metadata_problems",
        "package_content_problems",
        "package_import_failures",
        "lowest_import_failures",
    ):
        assert answer.value(name) == 0, name
    assert answer.document["findings"] == []


def test_planted_flaws_are_those_that_the_tools_tell_by_hand(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project(FLAWED)

    answer = examine(root, *PACKAGE, "--fail-on", "package_import_failures > 0")

    files = built(root, tmp_path)
    wheel = next(path for path in files if path.suffix == ".whl")
    twine = plain("twine", "check", "--strict", *files, cwd=tmp_path)
    assert twine.returncode == 1
    assert answer.value("package_metadata_problems") == 1
    contents = plain("check_wheel_contents", wheel, cwd=tmp_path).stdout
    rules = sorted(re.findall(r": (W\d{3}):", contents))
    assert rules == ["W002", "W005", "W009"]
    assert answer.value("package_content_problems") == len(rules)
    found = answer.document["findings"]
    assert sorted(each["rule"] for each in found if each["rule"].startswith("W")) == rules
    assert answer.value("package_build_failures") == 0
    assert answer.value("package_import_failures") == 1
    (missing,) = (each for each in found if each["rule"] == "bare-import")
    assert "shop can't be imported in a bare environment" in missing["message"]
    assert "No module named 'shop.prices'" in missing["message"]
    assert "no lowest version is stated for idna" in answer.reason("lowest_import_failures")


def test_lowest_versions_that_do_not_go_with_the_code_are_told(
    examine: Examine, project: Write
) -> None:
    module = (
        "from importlib.metadata import version\n\nassert version('idna') != '3.4', 'too old'\n"
    )

    answer = examine(project(SOUND | {"shop/__init__.py": module}), *PACKAGE)

    assert answer.value("package_import_failures") == 0
    assert answer.value("lowest_import_failures") == 1
    (found,) = answer.document["findings"]
    assert "AssertionError: too old" in found["message"]


def test_a_build_that_fails_is_a_finding_and_one_that_lacks_its_needs_is_not_measured(
    examine: Examine, project: Write
) -> None:
    root = project(SOUND | {"README.md": ""})
    (root / "README.md").unlink()

    failing = examine(root, *PACKAGE)
    settings = root / "pyproject.toml"
    settings.write_text(settings.read_text().replace('["hatchling"]', '["no-such-thing-x1"]'))
    lacking = examine(root, *PACKAGE, "--require", "package_build_failures")

    assert failing.value("package_build_failures") == 1
    assert "Readme file does not exist" in failing.reason("package_import_failures")
    assert "no-such-thing-x1 was not found" in lacking.reason("package_build_failures")


def test_a_project_that_is_no_package_is_told_so(examine: Examine, project: Write) -> None:
    answer = examine(project({"shop.py": "PRICE = 1\n"}), *PACKAGE)

    assert "ships nothing" in answer.reason("package_build_failures")

"""Requirements that a project names by where they lie: beside it, in a file, in a repository."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import checksum

from lionagi_qe.agents.environment.installer import find_uv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BUILD = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "1"
"""
# By each way that one file can name them, some others.
WAYS = {
    "uv": {
        "pyproject.toml": """
[dependency-groups]
test = ["pytest", "ink", "dye", "pen", "nib @ file:../nib"]
[tool.uv.sources]
ink = { path = "../ink" }
dye = { path = "../dye", editable = true }
[[tool.uv.sources.pen]]
path = "../gone"
marker = "python_version < '3'"
[[tool.uv.sources.pen]]
path = "../pen"
marker = "python_version >= '3'"
"""
    },
    "poetry": {
        "pyproject.toml": """
[tool.poetry.dependencies]
nib = { path = "../nib" }
[tool.poetry.group.test.dependencies]
pytest = "*"
dye = { path = "../dye", develop = true }
pen = [{ path = "../pen", python = ">=3" }]
ink = { path = "../ink", extras = ["red"] }
"""
    },
    "files": {
        "requirements/test.txt": """
-r more.txt
pytest
../dye[red]  # beside
--editable=../pen#egg=pen
nib @ file:../nib ; python_version > '3'
""",
        "requirements/more.txt": "-e ../ink\n",
    },
}
NAMES = ("ink", "dye", "pen", "nib")
SHOP = {
    "shop/shop.py": """
        import ink, dye, pen, nib

        def total():
            return ink.price + dye.price + pen.price + nib.price
    """,
    "shop/tests/test_shop.py": """
        import shop

        def test_total():
            assert shop.total() == 12
    """,
}
USES_INK = {"test_ink.py": "import ink\n\ndef test_ink():\n    assert ink.price == 3\n"}
SOURCE = """
[dependency-groups]
test = ["pytest", "ink"]
[tool.uv.sources]
ink = {source}
"""


def other(name: str, more: str = "", module: str = "price = 3") -> dict[str, str]:
    return {
        f"{name}/pyproject.toml": BUILD.format(name=name) + more,
        f"{name}/{name}.py": module,
    }


def shop(write: Write, way: dict[str, str], *names: str) -> Path:
    """Write the project and others beside it; return its directory."""
    files = {f"shop/{name}": text for name, text in way.items()}
    files["shop/pyproject.toml"] = BUILD.format(name="shop") + way.get("pyproject.toml", "")
    root = write(files)
    for name in names:
        write(other(name))
    return root / "shop"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_other_projects_are_installed_from_where_they_lie(
    examine: Examine, project: Write, way: dict[str, str]
) -> None:
    """Nothing is written there, and what they are now counts, not what they were."""
    root = shop(project, {**way}, *NAMES)
    project(SHOP)
    before = checksum(root.parent)
    answer = examine(root)
    assert answer.value("tests_passed") == 1, answer.out
    assert answer.document["environment"]["scope_origin"] == "what the build ships"
    assert checksum(root.parent) == before

    if "pyproject.toml" not in way:
        # A cached environment does not lead to where the last copy was.
        assert examine(root).value("tests_passed") == 1
    elif "poetry" not in way["pyproject.toml"]:
        (root.parent / "pen" / "pen.py").write_text("price = 4\n")
        assert examine(root).value("tests_failed") == 1


def test_what_another_project_names_by_a_path_is_installed_and_looked_at_for_changes(
    examine: Examine, project: Write
) -> None:
    more = 'dependencies = ["dye"]\n[tool.uv.sources]\ndye = { path = "../dye" }\n'
    root = shop(project, {"requirements-test.txt": "pytest\n-e ../ink\n", **USES_INK}, "dye")
    project(other("ink", more, "from dye import price"))
    assert examine(root).value("tests_passed") == 1
    (root.parent / "dye" / "dye.py").write_text("price = 4\n")
    assert examine(root).value("tests_failed") == 1


def test_a_requirement_comes_from_the_file_that_uv_is_told(
    examine: Examine, project: Write
) -> None:
    """The group's line alone would ask an index, which may have another of that name."""
    root = shop(project, USES_INK, "ink")
    build = [str(find_uv()), "build", "-q", "--wheel", "-o", str(root / "wheels")]
    subprocess.run(build, cwd=root.parent / "ink", check=True)
    (built,) = (root / "wheels").glob("*.whl")
    source = f'{{ path = "wheels/{built.name}" }}'
    shop(project, {"pyproject.toml": SOURCE.replace("{source}", source)})
    assert examine(root).value("tests_passed") == 1


def test_where_nothing_lies_no_index_is_asked(examine: Examine, project: Write) -> None:
    gone = SOURCE.replace("{source}", '{ path = "../gone" }')
    answer = examine(shop(project, {"pyproject.toml": gone}))
    assert answer.exit_code == 2
    assert "ink: [tool.uv.sources] has it at ../gone, where no project and no file is" in answer.err

    answer = examine(shop(project, {"requirements-test.txt": "../gone\n"}))
    assert answer.exit_code == 3
    assert "file://../gone" in answer.err
    assert "SCRATCH" not in answer.err


def test_an_isolated_run_reads_nothing_beside_a_project(examine: Examine, project: Write) -> None:
    beside = SOURCE.replace("{source}", '{ path = "../ink" }')
    answer = examine(shop(project, {"pyproject.toml": beside}, "ink"), "--isolate")
    assert answer.exit_code == 2
    assert "has it at ../ink, which an isolated run does not read" in answer.err


def test_a_requirement_goes_on_behind_a_backslash(examine: Examine, project: Write) -> None:
    """As pip reads it; a comment does not go on."""
    wanted = "# none \\\npytest \\\n  >=7\niniconfig \\\n  ; python_version > \\\n '3'\n"
    answer = examine(
        project(
            {
                "requirements-test.txt": wanted,
                "test_a.py": "import iniconfig\ndef test_a(): assert iniconfig\n",
            }
        )
    )
    assert answer.value("tests_passed") == 1

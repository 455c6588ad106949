"""A directory of several projects: they are listed, and run one by one when asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import TESTS_AND_COVERAGE, checksum

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e


def files_of(name: str, answer: str) -> dict[str, str]:
    place = f"packages/{name}"
    return {
        f"{place}/pyproject.toml": f'[project]\nname = "shop-{name}"\nversion = "1"\n',
        f"{place}/src/shop_{name}/__init__.py": "def who(now):\n    return 'me' if now else None\n",
        f"{place}/tests/test_it.py": f"""
            from shop_{name} import who

            def test_who():
                assert who(1) == {answer!r}
        """,
    }


@pytest.fixture
def repository(project: Write) -> Path:
    return project(
        {"README.md": "two projects", **files_of("alpha", "me"), **files_of("beta", "you")}
    )


def test_projects_are_listed_where_there_is_none_at_the_top(aqe: Aqe, repository: Path) -> None:
    answer = aqe("run", repository)
    assert answer.exit_code == 2
    assert "holds 2: packages/alpha, packages/beta" in answer.err
    assert "--all" in answer.err


def test_all_are_run_with_one_summary_and_the_gravest_code(aqe: Aqe, repository: Path) -> None:
    answer = aqe("run", repository, "--all", "--agents", TESTS_AND_COVERAGE, "-q")
    assert answer.exit_code == 1
    summary = answer.out.strip().splitlines()[-3:]
    assert summary[0] == "2 projects"
    assert "packages/alpha: 1 passed, 0 failed, 100.00 % of lines, gate passed" in summary[1]
    assert "packages/beta: 0 passed, 1 failed" in summary[2]
    told = aqe("run", repository, "--all", "--agents", TESTS_AND_COVERAGE, "--json")
    document = json.loads(told.out)
    assert [each["project"] for each in document["projects"]] == ["shop-alpha", "shop-beta"]
    assert document["exit_code"] == told.exit_code == 1


def test_a_directory_without_a_project_is_told_so(aqe: Aqe, project: Write) -> None:
    answer = aqe("run", project({"README.md": "nothing"}), "--all")
    assert answer.exit_code == 2
    assert "there is no project in it" in answer.err


def test_files_of_one_run_can_not_hold_all(aqe: Aqe, repository: Path) -> None:
    answer = aqe("run", repository, "--all", "--junit", repository.parent / "junit.xml")
    assert answer.exit_code == 2
    assert "--all goes with no file" in answer.err


WORKSPACE = {
    "pyproject.toml": """
        [project]
        name = "shop"
        version = "0"

        [tool.uv.workspace]
        members = ["packages/*"]

        [dependency-groups]
        dev = ["sniffio"]

        [tool.pytest.ini_options]
        addopts = "--strict-markers"
        markers = ["slow"]
        testpaths = ["of_the_top"]
    """,
    "conftest.py": """
        import pytest
        from orders import COUNT

        @pytest.fixture
        def count():
            return COUNT
    """,
    "orders/__init__.py": "COUNT = 2\n",
    "noxfile.py": "",
    "packages/core/pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "shop-of-nobody-core"
        version = "1"
    """,
    "packages/core/src/shop_of_nobody_core/__init__.py": "def price():\n    return 1\n",
    "packages/web/pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "shop-of-nobody-web"
        version = "1"
        dependencies = ["shop-of-nobody-core"]

        [tool.uv.sources]
        shop-of-nobody-core = { workspace = true }
    """,
    "packages/web/src/shop_of_nobody_web/__init__.py": """
        from shop_of_nobody_core import price

        def total(count):
            return count * price()
    """,
    "packages/web/tests/test_web.py": """
        import pytest
        import sniffio
        from shop_of_nobody_web import total

        @pytest.mark.slow
        def test_total(count):
            assert total(count) == 2
    """,
}


def test_a_member_has_other_members_and_what_the_top_declares_for_tests(
    aqe: Aqe, project: Write
) -> None:
    root = project(WORKSPACE)
    assert "holds 2: packages/core, packages/web" in aqe("run", root).err
    path = root / "packages" / "web"
    told = aqe("run", path, "--agents", TESTS_AND_COVERAGE, "--json")
    assert told.outcomes() == {"test_total": "passed"}, told.err
    assert told.document["environment"]["scope"] == ["src/shop_of_nobody_web"]
    assert "group dev of the repository" in told.document["environment"]["origin"]
    assert any("core was installed from the same" in note for note in told.document["notes"])
    assert any("configured by ../../pyproject.toml" in note for note in told.document["notes"])
    assert [test["id"] for test in told.document["tests"]] == ["tests/test_web.py::test_total"]

    changed = root / "packages" / "core" / "src" / "shop_of_nobody_core" / "__init__.py"
    changed.write_text("def price():\n    return 2\n")
    assert aqe("run", path, "--agents", TESTS_AND_COVERAGE, "--json").value("tests_failed") == 1


def test_a_sibling_whose_module_is_imported_and_that_nothing_declares_is_installed(
    aqe: Aqe, repository: Path
) -> None:
    beta = repository / "packages" / "beta"
    cross = "from shop_alpha import who\n\ndef test_cross():\n    assert who(0) is None\n"
    (beta / "tests" / "test_cross.py").write_text(cross)
    for name in ("alpha", "beta"):
        with (repository / "packages" / name / "pyproject.toml").open("a") as file:
            file.write('[build-system]\nrequires = ["setuptools>=61"]\n')
    before = checksum(repository)
    told = aqe("run", beta, "--agents", TESTS_AND_COVERAGE, "--json")
    assert told.outcomes()["test_cross"] == "passed", told.err
    assert told.document["environment"]["scope"] == ["src/shop_beta"]
    note = "tests import shop_alpha (tests/test_cross.py): shop-alpha of the same repository"
    assert f"{note}, declared nowhere; installed" in told.document["notes"]
    assert checksum(repository) == before

    source = repository / "packages" / "alpha" / "src" / "shop_alpha" / "__init__.py"
    source.write_text("def who(now):\n    return 'changed'\n")
    again = aqe("run", beta, "--agents", TESTS_AND_COVERAGE, "--json")
    assert again.outcomes()["test_cross"] == "failed"

"""Which versions the tests run with: those of lock files and constraints, where they can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LOCK = """
version = 1
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "sniffio" }]

[package.metadata]
requires-dist = [{ name = "sniffio" }]

[[package]]
name = "sniffio"
version = "1.3.0"
source = { registry = "https://pypi.org/simple" }
"""


# A project whose tests pass with the version of sniffio that lock files here hold.
HELD = {
    "shop.py": "def f():\n    return 1\n",
    "test_shop.py": """
        from importlib.metadata import version
        import shop

        def test_f(): assert shop.f() == 1
        def test_version(): assert version("sniffio") == "1.3.0"
    """,
}


def test_versions_are_those_of_uv_lock_unless_they_cant_be_had(
    examine: Examine, project: Write
) -> None:
    files = {
        **HELD,
        "pyproject.toml": """
            [project]
            name = "shop"
            version = "1"
            requires-python = ">=3.11"
            dependencies = ["sniffio"]
        """,
        "uv.lock": LOCK,
    }
    locked = examine(project(files))
    assert set(locked.outcomes().values()) == {"passed"}
    assert "versions of uv.lock" in locked.document["environment"]["origin"]

    gone = examine(project(files | {"uv.lock": LOCK.replace("1.3.0", "1.0.77")}))
    assert gone.outcomes() == {"test_f": "passed", "test_version": "failed"}
    assert any("uv.lock were not used" in note for note in gone.document["notes"])


def test_the_versions_of_a_lock_file_are_insisted_on_or_left_aside_as_asked(
    examine: Examine, project: Write
) -> None:
    files = {
        **HELD,
        "pyproject.toml": """
            [tool.poetry]
            name = "shop"
            [tool.poetry.group.test.dependencies]
            sniffio = "^1.2"
        """,
        "poetry.lock": """
            [[package]]
            name = "sniffio"
            version = "1.3.0"
        """,
    }
    locked = examine(project(files), "--locked")
    assert set(locked.outcomes().values()) == {"passed"}
    assert "versions of poetry.lock" in locked.document["environment"]["origin"]
    newest = examine(project(files), "--no-locked")
    assert newest.outcomes()["test_version"] == "failed"
    root = project({**files, "poetry.lock": files["poetry.lock"].replace("1.3.0", "1.0.77")})
    assert "sniffio" in examine(root, "--locked", "--json").err
    (root / "poetry.lock").unlink()
    without = examine(root, "--locked")
    assert without.exit_code == 3
    assert "the project has no lock file" in without.err


def test_the_constraints_of_tox_are_kept_to_unless_they_cant_be(
    examine: Examine, project: Write
) -> None:
    files = {
        **HELD,
        "tox.ini": "[testenv]\ndeps =\n    sniffio\n    -c{toxinidir}/held.txt\n",
        "held.txt": "sniffio==1.3.0\n",
    }
    kept = examine(project(files))
    assert set(kept.outcomes().values()) == {"passed"}
    # A file's content decides on the environment.
    gone = examine(project(files | {"held.txt": "sniffio==1.0.77\n"}))
    assert gone.outcomes() == {"test_f": "passed", "test_version": "failed"}
    (note,) = [each for each in gone.document["notes"] if "were not used" in each]
    assert note.startswith("the versions of ./held.txt were not used: ")
    assert "sniffio" in note


def test_a_compiled_list_whose_versions_are_gone_is_replaced_by_its_source(
    examine: Examine, project: Write
) -> None:
    files = {
        "shop.py": "def f():\n    return 1\n",
        "test_shop.py": "import sniffio\nimport shop\ndef test_f(): assert shop.f() == 1\n",
        "test-requirements.txt": "sniffio==0.0.77\n",
        "test-requirements.in": "sniffio\n",
    }
    answer = examine(project(files))

    assert answer.value("tests_passed") == 1
    (note,) = [each for each in answer.document["notes"] if "instead of" in each]
    assert "sniffio==0.0.77" in note

"""What a run tells of what it met stands on one line, names what is there, and what to do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

SHOP = {
    "shop.py": "def price():\n    return 1\n\n\ndef name():\n    return 2\n",
    "test_shop.py": "import shop\n\ndef test_price():\n    assert shop.price() == 1\n",
}


def test_paths_are_those_of_the_project_and_not_of_its_copy(aqe: Aqe, project: Write) -> None:
    nested = {"inner/conftest.py": "pytest_plugins = ['json']\n", "inner/test_a.py": ""}
    failing = "def test_where():\n    raise ValueError(__file__)\n"
    root = project({**SHOP, **nested, "test_where.py": failing})
    (root / "broken.py").symlink_to("gone.py")
    answer = aqe("run", root)
    assert answer.exit_code == 1
    assert "./inner/conftest.py" in answer.out
    assert "ValueError: ./test_where.py" in answer.out
    assert "radon did not read broken.py" in answer.out
    assert "/aqe-" not in answer.out


def test_a_line_feed_in_a_name_begins_no_line(aqe: Aqe, project: Write) -> None:
    root = project(SHOP).rename(project({}).with_name("shop\ngate      passed"))
    (root / "test_shop.py").rename(root / "test_a\nb.py")
    (root / "test_c\nd.py").write_text("def test_c():\n    assert 0\n")
    answer = aqe("run", root)
    assert answer.exit_code == 1
    assert [line for line in answer.out.splitlines() if line.startswith("gate")] == [
        "gate      failed"
    ]
    assert r"shop\u000agate" in answer.out
    assert r"test_c\u000ad.py" in answer.out


def test_a_part_of_a_project_is_told_to_be_one(examine: Examine, project: Write) -> None:
    root = project({f"src/{name}": text for name, text in SHOP.items()})
    (root / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    note = "a part of the project at .., whose settings don't hold here: aqe run .."
    assert note in examine(root / "src").document["notes"]
    assert note not in examine(root).document["notes"]


def test_a_byte_order_mark_is_named(aqe: Aqe, project: Write) -> None:
    root = project(SHOP)
    (root / "pyproject.toml").write_text("\ufeff[project]\nname = 'shop'\n", encoding="utf-8")
    answer = aqe("run", root)
    assert answer.exit_code == 2
    assert "it begins with a byte order mark" in answer.err


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("XDG_STATE_HOME", "set XDG_STATE_HOME to a directory of yours, or name a memory"),
        ("XDG_CACHE_HOME", "set XDG_CACHE_HOME to a directory of yours"),
    ],
)
def test_a_directory_that_can_not_be_used_is_told_with_what_to_set(
    aqe: Aqe, project: Write, variable: str, told: str
) -> None:
    answer = aqe("run", project(SHOP), env={variable: "/dev/null"})
    assert answer.exit_code == 3
    assert "Not a directory" in answer.err
    assert told in answer.err


def test_what_ended_the_tests_is_told_in_its_own_words(examine: Examine, project: Write) -> None:
    stops = "def pytest_runtest_setup(item):\n    item.session.shouldstop = 'the queue is gone'\n"
    more = "def test_first():\n    pass\n\ndef test_second():\n    pass\n"
    answer = examine(project({"conftest.py": stops, "test_a.py": more}))
    assert answer.exit_code == 1
    assert "with 1 test not run: the queue is gone" in answer.out


def test_a_setting_that_pytest_refuses_is_told(examine: Examine, project: Write) -> None:
    """It does so when it has collected the tests."""
    wrong = "[pytest]\naddopts = --strict-config\nnonsense = 1\n"
    answer = examine(project({**SHOP, "pytest.ini": wrong}))
    assert answer.exit_code == 1
    assert "with 1 test not run: ERROR: Unknown config option: nonsense" in answer.out


def test_without_a_gate_it_is_said_that_nothing_judges(aqe: Aqe, project: Write) -> None:
    answer = aqe("run", project(SHOP), "--agents", "test-executor")
    assert answer.exit_code == 0
    assert "gate      not asked for: quality-gate in --agents judges" in answer.out


def test_interpreters_that_are_not_allowed_are_told_once(
    aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    (tmp_path / f"python3.{sys.version_info[1]}").symlink_to(sys.executable)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    require = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.99"\n'
    answer = aqe("run", project({**SHOP, "pyproject.toml": require}), env=path)
    assert answer.exit_code == 3
    own = ".".join(map(str, sys.version_info[:3]))
    assert answer.err.count(own) == 1

"""Tests and imports that interrupt pytest or end its process cost themselves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

SHOP = "def price(dear):\n    return 2 if dear else 1\n"
FIRST = "from shop import price\n\ndef test_first():\n    assert price(False) == 1\n"
LAST = "from shop import price\n\ndef test_last():\n    assert price(True) == 2\n"
INTERRUPTS = {
    "raised": "raise KeyboardInterrupt",
    "sent": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "raised where there is no directory": (
        "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd()); "
        "raise KeyboardInterrupt"
    ),
}
ENDS = {
    "exit code 0": "import os; os._exit(0)",
    "killed by SIGABRT": "import os; os.abort()",
    "killed by SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
}


def files(bad: str) -> dict[str, str]:
    return {"shop.py": SHOP, "test_a.py": FIRST, "test_bad.py": f"{bad}\n", "test_z.py": LAST}


@pytest.mark.parametrize("how", INTERRUPTS)
@pytest.mark.parametrize("where", ["test", "fixture"])
def test_a_test_that_interrupts_costs_itself(
    examine: Examine, project: Write, where: str, how: str
) -> None:
    bad = f"def test_bad():\n    {INTERRUPTS[how]}\n"
    if where == "fixture":
        bad = (
            f"import pytest\n@pytest.fixture\ndef bad():\n    {INTERRUPTS[how]}\n"
            "def test_bad(bad):\n    pass\n"
        )
    answer = examine(project(files(bad)))
    assert answer.exit_code == 1
    assert answer.outcomes() == {
        "test_first": "passed",
        "test_bad": "interrupted",
        "test_last": "passed",
    }
    assert answer.value("line_coverage") == 100.0
    (message,) = [
        each["message"] for each in answer.document["tests"] if each["outcome"] == "interrupted"
    ]
    assert "KeyboardInterrupt" in message
    assert "test_bad.py" in message


@pytest.mark.parametrize("how", INTERRUPTS)
def test_a_file_whose_import_interrupts_is_one_that_is_not_collected(
    examine: Examine, project: Write, how: str
) -> None:
    answer = examine(project(files(INTERRUPTS[how])))
    assert answer.exit_code == 1
    assert answer.outcomes() == {"test_first": "passed", "test_last": "passed"}
    assert "1 did not: test_bad.py" in answer.out
    assert "its import ends the process, at test_bad.py:1" in answer.out


@pytest.mark.parametrize("how", ENDS)
def test_a_file_whose_import_ends_the_process_costs_itself(
    examine: Examine, project: Write, how: str
) -> None:
    more = {"inner/test_worse.py": f"{ENDS[how]}\n", "inner/test_c.py": "def test_c(): pass\n"}
    answer = examine(project({**files(ENDS[how]), **more}))
    assert answer.exit_code == 1
    assert set(answer.outcomes().values()) == {"passed"}
    assert sorted(answer.outcomes()) == ["test_c", "test_first", "test_last"]
    assert answer.value("line_coverage") == 100.0
    assert "2 did not: inner/test_worse.py, test_bad.py" in answer.out
    assert "its import ends the process: it " in answer.out
    assert how in answer.out


def test_where_nothing_else_is_to_run_it_is_told_too(examine: Examine, project: Write) -> None:
    answer = examine(project({"shop.py": SHOP, "test_bad.py": "import os; os._exit(0)\n"}))
    assert answer.exit_code == 1
    assert "1 did not: test_bad.py" in answer.out


@pytest.mark.parametrize(
    "more",
    [
        {"inner/conftest.py": "import os; os._exit(0)\n", "inner/test_c.py": "def test_c(): 1\n"},
        {"conftest.py": "import os\n\ndef pytest_collection_modifyitems():\n    os._exit(0)\n"},
    ],
)
def test_no_file_is_blamed_for_what_others_end(
    examine: Examine, project: Write, more: dict[str, str]
) -> None:
    answer = examine(project({**files("def test_bad(): pass"), **more}))
    assert answer.exit_code == 4
    told = "pytest ended with exit code 0 before it had collected the tests: "
    assert told in answer.reason("tests_passed")


@pytest.mark.parametrize("code", [1, 0])
def test_what_called_for_the_end_of_all_tests_is_told(
    examine: Examine, project: Write, code: int
) -> None:
    bad = f"import pytest\n\ndef test_bad():\n    pytest.exit('no database', {code})\n"
    answer = examine(project(files(bad)))
    assert answer.exit_code == 1
    assert answer.outcomes() == {
        "test_first": "passed",
        "test_bad": "not_run",
        "test_last": "not_run",
    }
    assert "pytest was ended by pytest.exit, with 2 tests not run: no database" in answer.out


@pytest.mark.parametrize(
    "settings",
    [
        {"pytest.ini": "[pytest]\naddopts = --setup-plan\n"},
        {"pytest.ini": "[pytest]\naddopts = --fixtures\n"},
        {"conftest.py": "def pytest_runtestloop(session):\n    return True\n"},
        {"conftest.py": "def pytest_runtest_setup(item):\n    item.session.shouldstop = 'done'\n"},
    ],
)
def test_the_gate_passes_no_tests_that_did_not_run(
    examine: Examine, project: Write, settings: dict[str, str]
) -> None:
    answer = examine(project({**files("def test_bad():\n    assert 0\n"), **settings}))
    assert answer.exit_code == 1
    assert "not_run" in answer.outcomes().values()
    assert "tests not run" in answer.out

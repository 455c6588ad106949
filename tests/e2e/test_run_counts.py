"""What ``aqe run`` counts, and that it counts as pytest means it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import xmlschema

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

JUNIT_SCHEMA = Path(__file__).with_name("junit-10.xsd")

EVERY_OUTCOME = {
    "shop.py": """
        def price(amount, member=False):
            if member:
                return amount * 0.9
            return amount

        def unused(a, b):
            if a:
                return b
            return a
    """,
    "test_shop.py": """
        import unittest
        import pytest
        import shop

        def test_passes():
            assert shop.price(2) == 2

        def test_fails():
            assert shop.price(2) == 3, "wrong price"

        @pytest.mark.skip(reason="not today")
        def test_skipped():
            pass

        @pytest.mark.xfail
        def test_expected_to_fail():
            assert False

        @pytest.mark.xfail
        def test_passes_unexpectedly():
            pass

        @pytest.fixture
        def broken():
            raise RuntimeError("no set up")

        def test_setup_fails(broken):
            pass

        @pytest.fixture
        def leaky():
            yield
            raise RuntimeError("no tear down")

        def test_teardown_fails(leaky):
            pass

        def test_exits():
            raise SystemExit(0)

        class Prices(unittest.TestCase):
            def test_subtests(self):
                for amount in range(3):
                    with self.subTest(amount=amount):
                        self.assertEqual(shop.price(amount), amount)

            def test_failing_subtest(self):
                for amount in range(3):
                    with self.subTest(amount=amount):
                        self.assertNotEqual(amount, 1)
    """,
}


@pytest.fixture
def answer(examine_once: Examine) -> Answer:
    return examine_once(EVERY_OUTCOME, "--junit", "junit.xml")


def test_every_outcome_is_counted_once_and_subtests_apart(answer: Answer) -> None:
    assert answer.outcomes() == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skipped": "skipped",
        "test_expected_to_fail": "xfailed",
        "test_passes_unexpectedly": "xpassed",
        "test_setup_fails": "error",
        "test_teardown_fails": "error",
        "test_exits": "failed",
        "test_subtests": "passed",
        "test_failing_subtest": "failed",
    }
    counted = {
        name: answer.value(f"tests_{name}")
        for name in ("collected", "passed", "failed", "errors", "skipped", "xfailed", "xpassed")
    }
    assert counted == {
        "collected": 10,
        "passed": 2,
        "failed": 3,
        "errors": 2,
        "skipped": 1,
        "xfailed": 1,
        "xpassed": 1,
    }
    assert answer.value("subtests_passed") == 5
    assert answer.value("subtests_failed") == 1
    assert answer.exit_code == 1


def test_every_figure_names_its_source(answer: Answer) -> None:
    for metric in answer.document["metrics"]:
        assert metric["tool"]
        assert metric["version"]
        assert metric["command"]
        assert metric["at"]
        assert metric["measured"] is (metric["reason"] is None)


def test_coverage_is_told_by_file_and_function(answer: Answer) -> None:
    assert (answer.value("lines_covered"), answer.value("lines")) == (4, 8)
    assert answer.value("line_coverage") == 50.0
    assert answer.value("branch_coverage") == 25.0
    gaps = {gap["function"]: gap for gap in answer.value("gaps")}
    assert list(gaps) == ["unused", "price"]
    assert gaps["unused"]["missed_lines"] == [7, 8, 9]
    assert gaps["unused"]["complexity"] == 2
    assert [file["file"] for file in answer.document["files"]] == ["shop.py"]


def test_junit_has_a_case_a_test(answer: Answer) -> None:
    written = answer.folder / "junit.xml"

    xmlschema.XMLSchema(str(JUNIT_SCHEMA)).validate(str(written))
    suite = ET.parse(written).getroot().find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "10", "failures": "3", "errors": "2", "skipped": "2"}
    failure = suite.find("testcase[@name='test_fails']/failure")
    assert failure is not None
    assert "wrong price" in (failure.text or "")


def test_junit_is_valid_whatever_happened(examine: Examine, project: Write, tmp_path: Path) -> None:
    files = {
        "test_bad.py": "def test_bad(:\n",
        "test_optional.py": "import pytest\npytest.importorskip('nope')\n",
        "test_crash.py": """
            import os, pytest

            @pytest.mark.parametrize("text", ["\\x00 \\x1b[31m", "<&\\ud800>"], ids=ascii)
            def test_strange(text):
                assert not text, text

            def test_crash():
                os._exit(3)

            def test_after():
                pass
        """,
    }
    examine(project(files), "--report", f"junit={tmp_path / 'junit.xml'}")

    xmlschema.XMLSchema(str(JUNIT_SCHEMA)).validate(str(tmp_path / "junit.xml"))
    root = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - our own
    assert {case.get("name"): [each.tag for each in case] for case in root.iter("testcase")} == {
        "test_strange['\\\\x00 \\\\x1b[31m']": ["failure"],
        "test_strange['<&\\\\ud800>']": ["failure"],
        "test_crash": ["error"],
        "test_after": [],
        "test_bad.py": ["error"],
        "test_optional.py": ["skipped"],
    }


def test_annotations_name_what_is_wrong_at_its_place(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    files = {
        "shop.py": "import hashlib\n\ndef name(text):\n    return hashlib.md5(text)\n",
        "test_a.py": "import shop\n\ndef test_a():\n    assert 1 == 2, '50 %: no'\n",
    }
    out = tmp_path / "annotations.txt"
    agents = "test-executor,static-analyzer,quality-gate"
    examine(project(files), "--agents", agents, "--report", f"github={out}")

    failed, danger, *gate = out.read_text().splitlines()
    assert failed.startswith("::error file=test_a.py,line=4,title=test_a.py%3A%3Atest_a::")
    assert "50 %25: no" in failed
    assert "%0A" in failed
    assert danger.startswith("::error file=shop.py,line=4,title=bandit B324::")
    assert gate == [
        "::error title=quality gate%3A failed::all tests pass: 1 did not: test_a.py::test_a"
    ]


def test_the_console_shows_figures_with_their_tools(
    aqe: Callable[..., Answer], project: Write
) -> None:
    answer = aqe("run", project(EVERY_OUTCOME))

    lines = answer.out.splitlines()
    tests = next(line for line in lines if line.startswith("tests"))
    assert "2 passed, 3 failed, 2 errors, 1 skipped, 1 xfailed, 1 xpassed" in tests
    assert "[pytest " in tests
    assert any(line.startswith("lines     50.00 % (4 of 8)  [coverage.py ") for line in lines)
    assert "\x1b" not in answer.out
    assert "running tests" in answer.err


def test_names_of_tests_may_hold_anything(examine: Examine, project: Write) -> None:
    tests = """
        import pytest

        texts = ["a/b", "100%", "x" * 900, "[", "*", "a b", "y" * 17_000_000]

        @pytest.mark.parametrize("text", texts, ids=lambda text: text)
        def test_text(text):
            pass
    """
    root = project({"test_names.py": tests})

    assert examine(root).value("tests_passed") == 7
    again = examine(root)
    assert again.value("tests_passed") == 7
    comparison = again.document["comparison"]
    assert comparison["added"] == comparison["lost"] == []


def test_files_called_tests_are_collected_where_there_are_no_others(
    examine: Examine, project: Write
) -> None:
    shop = "def price():\n    return 1\n"
    tests = """
        import unittest
        from shop import price

        class PriceTest(unittest.TestCase):
            def test_price(self):
                self.assertEqual(price(), 1)
    """
    files = {"shop/__init__.py": shop, "shop/tests.py": tests}
    answer = examine(project(files))
    assert answer.outcomes() == {"test_price": "passed"}
    assert answer.value("line_coverage") == 100.0
    assert "python_files=" in answer.figure("tests_collected")["command"]

    own = examine(project(files | {"pytest.ini": "[pytest]\npython_files = check_*.py\n"}))
    assert "collected no tests" in own.reason("tests_collected")


def test_lines_are_counted_by_the_settings_that_the_project_names(
    examine: Examine, project: Write
) -> None:
    """Also those of a process that is terminated, where these settings ask for it."""
    files = {
        "ci/cov.ini": "[run]\nsigterm = true\nomit = legacy.py\n[report]\nexclude_also = skipped\n",
        "tox.ini": """
            [testenv]
            setenv = COVERAGE_RCFILE = {toxinidir}/ci/cov.ini
            commands = pytest
        """,
        "shop/__init__.py": "",
        "shop/legacy.py": "x = 1\n",
        "shop/__main__.py": """
            import time

            def serve():
                time.sleep(print("up", flush=True) or 600)

            def skipped():
                return 1

            serve()
        """,
        "tests/test_serve.py": """
            import subprocess, sys

            def test_serve():
                with subprocess.Popen(
                    [sys.executable, "-m", "shop"], stdout=subprocess.PIPE, text=True
                ) as process:
                    assert process.stdout.readline() == "up\\n"
                    process.terminate()
        """,
    }
    answer = examine(project(files))
    assert answer.value("tests_passed") == 1
    assert answer.value("line_coverage") == 100.0
    note = "settings of coverage.py are read from ci/cov.ini, as tox.ini [testenv] says"
    assert note in answer.document["notes"]

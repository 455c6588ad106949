"""The example of a backend of one's own, and the suite's teeth: break a rule, see red."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "custom_backend"

pytestmark = pytest.mark.integration


def run(tests: Path, folder: Path, *options: str) -> tuple[int, str, Path]:
    """Run tests in a process of their own; return exit code, output and the JUnit report."""
    report = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", f"--junit-xml={report}"]
    done = subprocess.run(
        [*command, "--confcutdir", str(tests.parent), "-p", "no:cacheprovider", *options, tests],
        cwd=HERE.parents[1],
        env={**os.environ, "PYTHONPATH": str(EXAMPLE)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, report


def test_a_backend_of_ones_own_passes_the_suite(tmp_path: Path) -> None:
    code, output, _ = run(EXAMPLE / "test_dict_backend.py", tmp_path)
    assert code == 0, output
    assert " passed" in output


@pytest.mark.parametrize(
    ("defects", "least"),
    [("broken_memories.py", 20), ("broken_coordination.py", 15), ("broken_recall.py", 8)],
)
def test_every_broken_rule_turns_the_suite_red(tmp_path: Path, defects: str, least: int) -> None:
    code, output, report = run(HERE / defects, tmp_path, "--tb=no")
    assert code == 1, output
    failed: dict[str, int] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = case.attrib["classname"].rsplit(".", 1)[-1]
        test = f"{name}.{case.attrib['name'].partition('[')[0]}"
        failed.setdefault(test, 0)
        failed[test] += case.find("failure") is not None
    assert len(failed) >= least
    assert [test for test, count in failed.items() if not count] == []

"""A report that builds on an earlier one says what coverage.py says, and analyses what changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests import programs

import lionagi_qe.agents.inject as injected

INJECTED = Path(injected.__path__[0])
SHOP = {
    "run.py": "import sys\nimport pen\nimport ink\npen.price(len(sys.argv))\n",
    "pen.py": "def price(many):\n    if many > 1:\n        return 1\n    return 2\n",
    "ink.py": "def colour():\n    return 'blue'\n",
    "unread.py": "import pen\n",
    "broken.py": "def (:\n",
    "rc": "[run]\nbranch = true\nsource = .\n",
}
# Measures run.py, writes our report beside coverage.py's own, and which process of ours analysed
# which file. With OTHERWISE coverage.py is as a release that we know nothing of.
PROGRAM = """
import json, os, sys
from coverage import Coverage, jsonreport, python
from coverage.cmdline import main
from aqe_report import write
main(["run", "--rcfile=rc", "run.py", *sys.argv[1:]])
coverage = Coverage(config_file="rc")
coverage.load()
Reporter = jsonreport.JsonReporter
one_file, whole = Reporter.report_one_file, Reporter.report
kinds = python.PythonFileReporter.code_region_kinds
def noted(self, data, analysis, reporter):
    with open("analysed.txt", "a") as file:
        file.write(f"{os.getpid()} {reporter.relative_filename()}\\n")
    return one_file(self, data, analysis, reporter)
def otherwise(self, morfs, outfile):
    taking, jsonreport.json = jsonreport.json, json
    python.PythonFileReporter.code_region_kinds = kinds
    try:
        return whole(self, morfs, outfile)
    finally:
        jsonreport.json = taking
Reporter.report_one_file = noted
if "OTHERWISE" in os.environ:
    Reporter.report = otherwise
write(coverage, "rc", "ours.json", "earlier.json")
Reporter.report_one_file, Reporter.report = one_file, whole
coverage.json_report(outfile="theirs.json", ignore_errors=True)
"""


class Shop:
    """A project whose runs are reported one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = 0
        for name, text in SHOP.items():
            (folder / name).write_text(text, encoding="utf-8")

    def reported(self, *arguments: str, branches: int = 2, **variables: str) -> set[str]:
        """Measure and report; return the files that were analysed, once the report is right."""
        analysed = self.folder / "analysed.txt"
        analysed.write_text("")
        done = programs.call(
            *("-c", PROGRAM, *arguments),
            cwd=self.folder,
            env={"PYTHONPATH": str(INJECTED), **variables},
        )
        assert done.code == 0, done.complaints
        ours, theirs = self._read("ours.json"), self._read("theirs.json")
        # Nobody reads the sums of classes, which take a twentieth of the time.
        for file in theirs["files"].values() if not variables else ():
            del file["classes"]
        assert ours["files"] == theirs["files"]
        assert ours["totals"].items() <= theirs["totals"].items()
        assert ours["totals"]["num_branches"] == branches
        assert ours["meta"]["version"] == theirs["meta"]["version"]
        (self.folder / "ours.json").replace(self.folder / "earlier.json")
        lines = [line.split() for line in analysed.read_text().splitlines()]
        self.processes = len({process for process, _ in lines})
        return {file for _, file in lines}

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The project after a first run."""
    shop = Shop(tmp_path)
    assert shop.reported() == {"run.py", "pen.py", "ink.py", "unread.py"}
    return shop


def test_nothing_is_analysed_again_where_nothing_changed(shop: Shop) -> None:
    assert shop.reported() == set()


def test_a_file_is_analysed_again_when_its_source_or_its_coverage_changed(shop: Shop) -> None:
    (shop.folder / "ink.py").write_text("def colour():\n    return 'red'\n\n\nx = 1\n")
    assert shop.reported() == {"ink.py"}
    assert shop.reported("more") == {"pen.py"}
    (shop.folder / "ink.py").unlink()
    (shop.folder / "run.py").write_text("import pen\n")
    assert shop.reported() == {"run.py", "pen.py"}


def test_all_is_analysed_again_when_settings_changed_or_the_earlier_report_is_broken(
    shop: Shop,
) -> None:
    everything = {"run.py", "pen.py", "ink.py", "unread.py"}
    with (shop.folder / "rc").open("a", encoding="utf-8") as rcfile:
        rcfile.write("[report]\nexclude_lines =\n    return .blue\n")
    assert shop.reported() == everything
    (shop.folder / "earlier.json").write_text('{"files": ')
    assert shop.reported() == everything


def test_a_report_made_in_shares_is_the_same(shop: Shop) -> None:
    function = "def f{}(a):\n    if a:\n        return 1\n    return 2\n\n\n"
    for number in range(6):
        text = "".join(function.format(each) for each in range(600))
        (shop.folder / f"long_{number}.py").write_text(text, encoding="utf-8")
    # Also of files that coverage.py leaves out.
    with (shop.folder / "rc").open("a", encoding="utf-8") as rcfile:
        rcfile.write("omit = long_5.py\n")
    named = ", ".join(f"long_{number}" for number in range(4))
    (shop.folder / "run.py").write_text(f"import {named}, pen\nlong_1.f1(1)\npen.price(1)\n")
    changed = {"run.py", "ink.py", *(f"long_{number}.py" for number in range(5))}
    assert shop.reported(branches=2 + 5 * 600 * 2) == changed
    assert shop.processes == min(len(os.sched_getaffinity(0)), 4)


def test_a_release_of_coverage_that_reports_in_another_way_is_read_all_the_same(
    shop: Shop,
) -> None:
    (shop.folder / "earlier.json").unlink()
    everything = {"run.py", "pen.py", "ink.py", "unread.py"}
    assert shop.reported(OTHERWISE="1") == everything

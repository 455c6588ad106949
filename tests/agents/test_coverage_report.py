"""A report that builds on an earlier one says what coverage.py says, and analyses what changed."""

from __future__ import annotations

import json
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
# Measures run.py, writes our report beside coverage.py's own.
PROGRAM = """
import sys
from coverage import Coverage
from coverage.cmdline import main
from aqe_report import write
main(["run", "--rcfile=rc", "run.py", *sys.argv[1:]])
coverage = Coverage(config_file="rc")
coverage.load()
write(coverage, "ours.json", "earlier.json")
coverage.json_report(outfile="theirs.json", ignore_errors=True)
"""


class Shop:
    """A project whose runs are reported one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in SHOP.items():
            (folder / name).write_text(text, encoding="utf-8")

    def reported(self, *arguments: str) -> set[str]:
        """Measure and report; return the files that were analysed, once the report is right."""
        (self.folder / "ours.json.part").unlink(missing_ok=True)
        done = programs.call(
            *("-c", PROGRAM, *arguments), cwd=self.folder, env={"PYTHONPATH": str(INJECTED)}
        )
        assert done.code == 0, done.complaints
        ours, theirs = self._read("ours.json"), self._read("theirs.json")
        assert ours["files"] == theirs["files"]
        assert ours["totals"].items() <= theirs["totals"].items()
        assert ours["totals"]["num_branches"] == 2
        assert ours["meta"]["version"] == theirs["meta"]["version"]
        (self.folder / "ours.json").replace(self.folder / "earlier.json")
        return {*self._read("ours.json.part").get("files", ())}

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


# Reads the sources, has something happen to them, measures run.py, and reports.
AHEAD = """
import json
from pathlib import Path
from coverage import Coverage
from coverage.cmdline import main
from aqe_ahead import Analyses
from aqe_report import write

{before}
analyses = Analyses()
analyses.read(Coverage(config_file="rc", data_file=None), lambda: {is_over})
print(len(analyses._known))
{between}
main(["run", "--rcfile=rc", "run.py"])
coverage = Coverage(config_file="rc")
coverage.load()
analyses.use_in(coverage)
write(coverage, "ours.json", "earlier.json")
coverage = Coverage(config_file="rc")
coverage.load()
coverage.json_report(outfile="theirs.json", ignore_errors=True)
assert json.loads(Path("ours.json").read_text())["files"] == (
    json.loads(Path("theirs.json").read_text())["files"])
"""
CHANGED = """Path("ink.py").write_text("def ink():\\n    return 1\\n\\n\\nx = 1\\n")"""


@pytest.mark.parametrize(
    ("before", "is_over", "between", "known"),
    [
        pytest.param("", "False", "", 4, id="all of them"),
        pytest.param("", "len(analyses._known) > 1", "", 2, id="some, in the time"),
        pytest.param("", "False", CHANGED, 4, id="one has changed since"),
        pytest.param("", "False", 'Path("ink.py").unlink()', 4, id="one is gone"),
        pytest.param(
            'Path("rc").write_text(Path("rc").read_text() + "omit = */pen.py\\n")',
            *("False", "", 3),
            id="one is left out",
        ),
        pytest.param(
            "own = Coverage._get_file_reporter; del Coverage._get_file_reporter",
            *("False", "Coverage._get_file_reporter = own", 0),
            id="a coverage.py that is built otherwise",
        ),
    ],
)
def test_a_report_from_what_was_read_ahead_is_the_same(
    tmp_path: Path, before: str, is_over: str, between: str, known: int
) -> None:
    folder = Shop(tmp_path).folder
    program = AHEAD.format(before=before, is_over=is_over, between=between)
    done = programs.call("-c", program, cwd=folder, env={"PYTHONPATH": str(INJECTED)})
    assert done.code == 0, done.complaints
    assert int(done.output) == known

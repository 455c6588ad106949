"""coverage.py's report by a process beside the tests is whole, or is known not to be there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from lionagi_qe.agents.base import Examination
from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.coverage import report_beside
from lionagi_qe.agents.coverage.report_beside import reported_beside
from lionagi_qe.agents.coverage.settings import write_rcfile
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.environment.target import Environment
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.settings import Settings
from lionagi_qe.agents.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = "def f{}(a):\n    if a:\n        return 1\n    return 2\n\n\n"
LONG = "".join(FUNCTION.format(number) for number in range(3000))


@pytest.fixture
def examination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Examination]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(report_beside, "usable_cores", lambda: 2)
    project = tmp_path / "project"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "__init__.py").write_text(LONG)
    (project / "shop" / "ink.py").write_text(FUNCTION.format(1))
    (project / "tests.py").write_text("import shop, sys\nshop.f1(1)\nshop.f2(0)\n")
    with Workspace.copy_of(project) as workspace:
        layout = layout_of(workspace.source)
        python = Path(sys.executable)
        environment = Environment(python, "3", layout, (), "given", changeable=False)
        yield Examination(workspace, environment, Settings(), {}, lambda _: None)


async def measure(examination: Examination) -> None:
    """Run the tests under coverage.py."""
    workspace, environment = examination.workspace, examination.environment
    done = await process.run(
        environment.command("tests", rcfile=str(write_rcfile(workspace, environment))),
        cwd=workspace.source,
        env=environment.variables(workspace),
        log=workspace.artifacts / "tests.log",
    )
    assert done.exit_code == 0, done.output


def at_work(examination: Examination) -> list[Path]:
    """Return the processes that are about the workspace."""
    wanted = str(examination.workspace.root).encode()
    found: list[Path] = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [each.parent] if wanted in each.read_bytes() else []
        except OSError:
            # It has ended.
            continue
    return found


async def test_the_report_is_of_what_the_block_measured(examination: Examination) -> None:
    async with reported_beside(examination) as beside:
        assert beside
        assert not coverage_data.reported(examination.workspace)
        await measure(examination)
    assert coverage_data.reported(examination.workspace)
    report = orjson.loads(coverage_data.report_path(examination.workspace).read_bytes())
    ran = {name: file["summary"]["covered_branches"] for name, file in report["files"].items()}
    assert ran == {"shop/__init__.py": 2, "shop/ink.py": 0}
    assert at_work(examination) == []


async def test_tests_that_are_soon_done_wait_for_no_source_to_be_read(
    examination: Examination,
) -> None:
    async with reported_beside(examination):
        pass
    # Nothing was measured.
    assert not coverage_data.reported(examination.workspace)
    assert at_work(examination) == []


async def test_nobody_is_left_behind_where_the_tests_could_not_be_run(
    examination: Examination,
) -> None:
    with pytest.raises(ValueError, match="no tests"):
        async with reported_beside(examination):
            raise ValueError("no tests")
    assert at_work(examination) == []


async def test_a_report_that_takes_too_long_is_left_to_others(examination: Examination) -> None:
    late = replace(examination, deadline=0.0)
    async with reported_beside(late) as beside:
        assert beside
    assert not coverage_data.reported(examination.workspace)
    assert at_work(examination) == []


async def test_little_code_and_what_is_known_is_reported_by_the_tests_themselves(
    examination: Examination,
) -> None:
    (examination.workspace.source / "shop" / "__init__.py").write_text("")
    async with reported_beside(examination) as beside:
        assert not beside
    (examination.workspace.source / "shop" / "__init__.py").write_text(LONG)
    with isolated(wanted=True):
        async with reported_beside(examination) as beside:
            assert not beside
    coverage_data.keep_report(examination.workspace, examination.environment, b"{}")
    async with reported_beside(examination) as beside:
        assert not beside

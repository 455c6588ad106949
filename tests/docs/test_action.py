"""The GitHub action's own scripts, run as a runner runs them; the comment needs GitHub itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION: Any = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
RUN: str = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "run")["run"]


def run(script: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    beside = str(Path(sys.executable).parent)
    path = f"{beside}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", *script],
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("assertion", "code"), [("1 == 1", 0), ("1 == 2", 1)])
def test_the_run_leaves_reports_a_summary_and_its_exit_code(
    tmp_path: Path, assertion: str, code: int
) -> None:
    shop = tmp_path / "a shop; $(false)"
    shop.mkdir()
    (shop / "pyproject.toml").write_text("[project]\nname = 'shop'\nversion = '1'\n")
    (shop / "test_shop.py").write_text(f"def test_it():\n    assert {assertion}\n")
    done = run(
        ["-c", RUN],
        {
            "AQE_PATH": str(shop),
            "AQE_BASE": "",
            "AQE_BUDGET": "60s",
            "AQE_ARGUMENTS": f"--agents test-executor,quality-gate --memory sqlite:///{tmp_path}/memory.db",
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        },
    )
    assert done.returncode == 0, done.stderr
    output = (tmp_path / "output").read_text().splitlines()
    assert output == [
        f"reports={tmp_path}/aqe",
        f"exit-code={code}",
        f"findings={tmp_path}/aqe/aqe.sarif",
    ]
    assert "shop" in (tmp_path / "summary").read_text()
    verdict = "passed" if code == 0 else "failed"
    pages = tmp_path / "aqe" / "pages"
    assert f"gate {verdict}" in (pages / "index.html").read_text()
    assert f"pages     {pages}/index.html\n" in done.stdout
    assert ("::error" in done.stdout) == bool(code)


def test_without_a_summary_nothing_is_commented(tmp_path: Path) -> None:
    done = run([str(ROOT / ".github" / "comment.sh")], {"REPORTS": str(tmp_path)})
    assert (done.returncode, done.stdout.startswith("::notice::")) == (0, True)


def test_a_comment_that_is_not_allowed_fails_no_job(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("x" * 70_000)
    env = {
        "REPORTS": str(tmp_path),
        "GITHUB_REPOSITORY": "nobody/nothing",
        "NUMBER": "1",
        "MARKER": "<!-- aqe -->",
        "GH_TOKEN": "none",
        # GitHub's client is missing, or can't reach it from here.
        "GH_HOST": "127.0.0.1:9",
    }
    done = run([str(ROOT / ".github" / "comment.sh")], env)
    assert (done.returncode, "pull-requests: write" in done.stdout) == (0, True), done.stderr

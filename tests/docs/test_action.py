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
    reports = Path(output[0].removeprefix("reports="))
    assert reports.parent == tmp_path
    assert output[1:] == [f"exit-code={code}", f"findings={reports}/aqe.sarif"]
    assert "shop" in (tmp_path / "summary").read_text()
    verdict = "passed" if code == 0 else "failed"
    pages = reports / "pages"
    assert f"gate {verdict}" in (pages / "index.html").read_text()
    assert f"pages     {pages}/index.html\n" in done.stdout
    assert ("::error" in done.stdout) == bool(code)


@pytest.mark.parametrize("known", ["", "7\n8"], ids=["no comment yet", "two of ours"])
@pytest.mark.parametrize("length", [None, 100, 70_000], ids=["no summary", "short", "too long"])
def test_one_comment_tells_of_the_newest_run_alone(
    tmp_path: Path, known: str, length: int | None
) -> None:
    # GitHub's client, which answers with what is there and keeps what is written.
    client = tmp_path / "gh"
    client.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--paginate*) printf "{known}"; exit ;; esac\n'
        f'echo "$4 $5" >> {tmp_path}/asked; cat "${{7#body=@}}" > {tmp_path}/body\n'
    )
    client.chmod(0o755)
    if length is not None:
        lines = "```\n" + f"{'é' * 40}\n" * (length // 81)
        (tmp_path / "summary.md").write_text(lines + ("```\n" if length == 100 else ""))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"REPORTS": str(tmp_path), "GITHUB_REPOSITORY": "a/b", "NUMBER": "1", "COMMIT": "abc"}
    env |= {
        "MARKER": "<!-- aqe -->",
        "JOB": "https://ci/1",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "TMPDIR": str(temporary),
    }
    done = run([str(ROOT / ".github" / "comment.sh")], env)
    assert (done.returncode, "::warning" in done.stdout) == (0, False), done.stderr
    assert [*temporary.iterdir()] == []
    if not known and length is None:
        assert not (tmp_path / "asked").exists()
        return
    where = "PATCH repos/a/b/issues/comments/7" if known else "POST repos/a/b/issues/1/comments"
    assert (tmp_path / "asked").read_text() == f"{where}\n"
    body = (tmp_path / "body").read_text(encoding="utf-8")
    assert body.startswith("<!-- aqe -->\n")
    assert len(body) < 65_536
    assert body.count("```") % 2 == 0
    assert ("`abc` left no summary" in body) == (length is None)
    assert ("Cut, since" in body) == (length == 70_000)


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

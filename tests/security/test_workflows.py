"""What our workflows run of others is named by commit, and nobody else gets what they may do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "action.yml", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
USED = re.compile(r"^\s*(?:- )?uses:\s*(.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){1,2}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_is_pinned_to_a_commit_and_says_its_version(file: Path) -> None:
    used: list[str] = USED.findall(file.read_text(encoding="utf-8"))
    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []


def test_no_action_is_pinned_to_two_commits_for_one_version() -> None:
    named: dict[tuple[str, str], set[str]] = {}
    for file in FILES:
        for each in USED.findall(file.read_text(encoding="utf-8")):
            name, commit, version = re.split(r"@| # ", each)
            repository = "/".join(name.split("/")[:2])
            named.setdefault((repository, version), set()).add(commit)
    assert {key: commits for key, commits in named.items() if len(commits) > 1} == {}


WORKFLOWS = [file for file in FILES if file.parent.name == "workflows"]
# What may do more than read the repository: (workflow, job) -> what it may write.
MAY_WRITE = {
    ("pages", "deploy"): {"pages", "id-token"},
    ("release", "attest"): {"attestations", "id-token"},
    ("release", "publish"): {"id-token"},
}
# What of a run somebody outside chooses: titles, branches, tags, messages. The matrix is ours.
_OTHERS = re.compile(r"\$\{\{(?!\s*matrix\.)[^}]*\}\}")


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]


def steps_of(file: Path) -> list[dict[str, Any]]:
    if file.name == "action.yml":
        return yaml.safe_load(file.read_text(encoding="utf-8"))["runs"]["steps"]
    return [step for job in jobs(file).values() for step in job["steps"]]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_jobs_only_read_but_for_those_that_have_to_write(file: Path) -> None:
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    for name, job in whole["jobs"].items():
        granted = job.get("permissions", {})
        written = {what for what, how in granted.items() if how == "write"}
        assert written == MAY_WRITE.get((file.stem, name), set()), name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_can_sign_runs_nothing_that_was_built_or_installed(file: Path) -> None:
    for name, job in jobs(file).items():
        if "id-token" in job.get("permissions", {}):
            assert all("run" not in step for step in job["steps"]), name
            assert not any(step["uses"].startswith("actions/checkout@") for step in job["steps"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_script_holds_what_others_choose(file: Path) -> None:
    scripts = [step["run"] for step in steps_of(file) if "run" in step]
    assert [each for each in scripts if _OTHERS.search(each)] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_token_of_ours_is_left_with_code_of_others(file: Path) -> None:
    # YAML 1.1 reads the key "on" as true.
    events = yaml.safe_load(file.read_text(encoding="utf-8"))[True]
    assert {"pull_request_target", "workflow_run", "issue_comment"}.isdisjoint(events)
    for step in steps_of(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_a_release_takes_nothing_from_a_cache() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "cache" not in text
    assert "setup-uv" not in text

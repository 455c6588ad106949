"""What our workflows run of others is named by commit: no other code can take its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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

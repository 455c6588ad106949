"""A failure that comes back is recognized, and what is told of its absence is what is known."""

from __future__ import annotations

import itertools
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory
from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.metric import Source
from lionagi_qe.fleet.failure_history import FailureHistory
from lionagi_qe.fleet.report.changes import since
from lionagi_qe.fleet.report.failure_words import before
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.run_record import KEPT_RUNS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lionagi_qe.fleet.comparison import Comparison
    from lionagi_qe.persistence import Memory

TESTS = ("test_a", "test_b")


class Project:
    """A project under git whose runs are recorded by what is said of them."""

    def __init__(self, memory: Memory, root: Path) -> None:
        self.memory = memory
        self.root = root
        self.comparison: Comparison | None = None
        self._numbers = itertools.count(1)
        self._git("init", "-q")

    def commit(self) -> str:
        (self.root / "shop.py").write_text(f"{next(self._numbers)}\n")
        self._git("add", ".")
        self._git("commit", "-qm", "a change")
        return self._git("rev-parse", "HEAD").strip()

    async def run(
        self, commit: str | None, failing: dict[str, str], tests: tuple[str, ...] = TESTS
    ) -> list[dict[str, Any]]:
        """Record a run in which some tests fail, test -> the place; return its groups."""
        run = f"20270101T{next(self._numbers):06}"
        groups = [
            {
                "id": place,
                "place": ["ValueError", place],
                "located": True,
                "texts": ["no price"],
                "message": "ValueError: no price",
                "tests": [test for test in tests if failing.get(test) == place],
            }
            for place in dict.fromkeys(failing.values())
        ]
        outcomes = [
            {
                "id": test,
                "outcome": "failed" if test in failing else "passed",
                "seconds": 1.0,
                "message": "",
            }
            for test in tests
        ]
        source = Source("pytest", "9", "pytest", commit)
        metric = source.measured("tests_collected", len(tests), "tests")
        details = {"tests": outcomes, "failure_groups": groups}
        findings = {"test-executor": Findings("test-executor", (metric,), details)}
        history = FailureHistory(self.memory, "shop", self.root)
        told = await history.with_past(run, commit, findings)
        self.comparison = await RunHistory(self.memory, "shop").record(run, told, {})
        return told["test-executor"].details["failure_groups"]

    def _git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        command = ["git", *identity, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    async with open_memory("memory://") as memory:
        yield Project(memory, tmp_path)


async def test_a_run_is_compared_with_the_last_in_which_tests_ran_and_names_those_between(
    project: Project,
) -> None:
    for tests in (TESTS, (), (), TESTS):
        await project.run(None, {}, tests)
    assert project.comparison is not None
    assert project.comparison.previous == "20270101T000001"
    assert project.comparison.skipped == ("20270101T000002", "20270101T000003")
    assert since(project.comparison) == (
        "run 20270101T000001 (no test ran in 20270101T000002, 20270101T000003)"
    )
    await project.run(None, {})
    assert project.comparison.skipped == ()


BROKEN = {"test_a": "price", "test_b": "price"}


async def test_a_first_failure_was_not_seen_before(project: Project) -> None:
    (group,) = await project.run(project.commit(), BROKEN)
    assert group["before"] is None
    assert before(group) is None


async def test_a_failure_that_goes_on_tells_since_when(project: Project) -> None:
    first = project.commit()
    await project.run(first, BROKEN)
    await project.run(first, BROKEN)
    (group,) = await project.run(first, {"test_a": "price"})
    assert len(group["before"]["runs"]) == 2
    assert group["before"]["gone"] is None
    assert before(group) == (
        f"seen before: run 20270101T000003 at {first[:10]}, and 1 more since "
        "2027-01-01 00:00:02 UTC (run 20270101T000002)"
    )


async def test_a_commit_is_named_where_it_is_the_only_one_between(project: Project) -> None:
    broken = project.commit()
    await project.run(broken, BROKEN)
    mended = project.commit()
    await project.run(mended, {})
    (group,) = await project.run(project.commit(), BROKEN)
    assert group["before"]["gone"]["commits"] == 1
    told = before(group)
    assert told is not None
    assert told.endswith(f"gone in run 20270101T000004, with one commit between: {mended[:10]}")


async def test_of_several_commits_none_is_blamed(project: Project) -> None:
    await project.run(project.commit(), BROKEN)
    project.commit()
    later = project.commit()
    await project.run(later, {})
    (group,) = await project.run(later, BROKEN)
    assert before(group).endswith(f"2 commits later, at {later[:10]}")  # pyright: ignore[reportOptionalMemberAccess]


async def test_a_failure_that_went_without_a_change_says_so(project: Project) -> None:
    commit = project.commit()
    await project.run(commit, BROKEN)
    await project.run(commit, {})
    (group,) = await project.run(commit, BROKEN)
    assert before(group).endswith(", at the same commit")  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("commit", ["f" * 40 + "-dirty", "--output=/tmp/x", "0" * 40, None])
async def test_without_two_known_commits_only_the_run_is_told(
    project: Project, commit: str | None
) -> None:
    await project.run(commit, BROKEN)
    await project.run(project.commit(), {})
    (group,) = await project.run(project.commit(), BROKEN)
    assert group["before"]["gone"]["commits"] is None
    assert "between" not in before(group)  # pyright: ignore[reportOptionalMemberAccess]


async def test_tests_that_did_not_run_or_fail_otherwise_are_not_mended(project: Project) -> None:
    await project.run(project.commit(), BROKEN)
    await project.run(project.commit(), {}, tests=("test_c",))
    await project.run(project.commit(), {"test_a": "other", "test_b": "other"})
    groups = await project.run(project.commit(), BROKEN)
    assert [group["before"]["gone"] for group in groups] == [None]


async def test_words_that_are_nearly_the_same_are_recognized(project: Project) -> None:
    await project.run(project.commit(), BROKEN)
    history = FailureHistory(project.memory, "shop", project.root)
    for text, known in (("no  prices", True), ("the server is down", False)):
        group = {
            "id": "x",
            "place": ["ValueError", "price"],
            "located": True,
            "texts": [text],
            "tests": ["test_a"],
        }
        findings = Findings("test-executor", (), {"failure_groups": [group]})
        told = await history.with_past("2028", None, {"test-executor": findings})
        assert (told["test-executor"].details["failure_groups"][0]["before"] is not None) is known


async def test_the_last_runs_that_failed_are_kept_and_those_of_others_read_past(
    project: Project,
) -> None:
    await project.memory.store(
        "aqe/failures/shop/0", {"schema": 1, "run": "0", "commit": None, "packed": "no"}
    )
    for _ in range(KEPT_RUNS + 1):
        await project.run(None, BROKEN)
    keys = await project.memory.list_keys("aqe/failures/shop/")
    assert len(keys) == KEPT_RUNS

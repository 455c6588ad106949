"""Results of shards make one run only if they are all of one division, each test in one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.execution.matrix import DIVISION
from lionagi_qe.agents.metric import Source
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.run_record import HasFindings
from lionagi_qe.fleet.shards.checks import check_whole
from lionagi_qe.fleet.shards.durations import as_durations, durations_of, read_durations
from lionagi_qe.fleet.shards.result import ShardResult, read_result
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

IDS = ("a.py::1", "a.py::2", "b.py::1")
PARTS = {"a.py": 1, "b.py": 2}


def result(
    part: int,
    *,
    ids: Sequence[str] = IDS,
    parts: dict[str, int] = PARTS,
    ran: Sequence[str] | None = None,
    **head: Any,
) -> ShardResult:
    units = [test.partition("::")[0] for test in ids]
    own = [test for test, unit in zip(ids, units, strict=True) if parts[unit] == part]
    division = {"ids": list(ids), "units": units, "parts": parts, "own": own}
    tests = [{"id": test, "outcome": "passed"} for test in (own if ran is None else ran)]
    findings = Findings("test-executor", (), {"tests": tests, DIVISION: division})
    usual: dict[str, Any] = {
        "file": f"{part}.json",
        "of": 2,
        "by": "file",
        "project": "shop",
        "commit": "c0ffee",
        "tree": "7ee",
        "python": "3.13.1",
        "durations": "durations of times.json",
        "known": 3,
        "mapped": False,
        "at": "2026-01-01T00:00:00+00:00",
    }
    return ShardResult(part=part, findings=findings, **usual | head)


@dataclass
class Run(HasFindings):
    findings: Mapping[str, Findings]


def measured(seconds: float) -> dict[str, Findings]:
    """What a run of one test finds."""
    metric = Source("pytest", "9", "pytest", None).measured("tests_collected", 1, "tests")
    tests = [{"id": "a.py::1", "outcome": "passed", "seconds": seconds}]
    return {"test-executor": Findings("test-executor", (metric,), {"tests": tests})}


def test_all_shards_of_one_division_are_whole() -> None:
    check_whole([result(1), result(2, python="3.13.2")])


def test_names_may_change_from_run_to_run_where_files_stay_whole() -> None:
    check_whole([result(1, ids=("a.py::x", "a.py::y", "b.py::1")), result(2)])


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([result(1)], "shard 2/2 is missing: name its file as well, or run it: aqe run --shard"),
        ([result(1), result(2), replace(result(1), file="again.json")], "given twice: 1.json"),
        ([result(1), result(2, of=3)], "merge the shards of one division"),
        ([result(1), result(2, project="till")], "different projects (shop and till)"),
        ([result(1), result(2, commit="bad")], "run all shards on one commit"),
        ([result(1), result(2, tree="other")], "of different files: the files that git tracks"),
        ([result(1), result(2, python="3.12.1")], "the shards of each Python by themselves"),
        (
            [result(1), result(2, ids=(*IDS, "b.py::2"))],
            "of b.py 1 and 2; do all shards have the same variables",
        ),
        (
            [result(1), result(2, parts={"a.py": 2, "b.py": 2}, durations="none", known=0)],
            "(file, durations of times.json, 3 tests known) and in 2 for the other (file, none, 0",
        ),
        ([result(1, ran=["a.py::1"]), result(2)], "a.py::2 of shard 1/2 are not in its result"),
        (
            [result(1), result(2, ran=["b.py::1", "a.py::1"])],
            "a.py::1 ran in more than one shard (1/2, 2/2)",
        ),
    ],
)
def test_what_is_not_whole_is_refused_with_what_to_do(
    results: list[ShardResult], said: str
) -> None:
    with pytest.raises(InvalidArgumentError) as error:
        check_whole(results)
    assert said in str(error.value)


def test_tests_that_no_shard_was_given_are_found() -> None:
    parts = {"a.py": 1, "b.py": 3}
    with pytest.raises(InvalidArgumentError, match=r"tests of b\.py are in no shard"):
        check_whole([result(1, parts=parts), result(2, parts=parts)])


def test_a_result_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    written = replace(result(1), file=str(path))
    path.write_bytes(written.as_bytes())
    assert read_result(path) == written
    for content in (b"", b"[]", b'{"kind": "other"}', path.read_bytes()[:-50]):
        path.write_bytes(content)
        with pytest.raises(InvalidArgumentError, match="is no result of a shard"):
            read_result(path)
    path.write_bytes(written.as_bytes().replace(b'"schema": 2', b'"schema": 1'))
    with pytest.raises(InvalidArgumentError, match="written by another version of aqe"):
        read_result(path)


def test_durations_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    assert not read_durations(path).seconds, "the first time there are none"
    tests = [
        {"id": "a.py::1", "outcome": "passed", "seconds": 5.2345, "shared": 4.0},
        {"id": "a.py::2", "outcome": "not_run", "seconds": 0.0},
    ]
    details = {"tests": tests, "overhead": 0.1}
    path.write_text(as_durations(Run({"test-executor": Findings("test-executor", (), details)})))
    assert read_durations(path).seconds == {"a.py::1": 1.3}, "what pytest takes beside, too"
    for text in ("", "{}", '{"schema": 1, "seconds": {"a.py::1": -1}}', '{"schema": 1}'):
        path.write_text(text)
        with pytest.raises(InvalidArgumentError, match="holds no durations of aqe"):
            read_durations(path)


async def test_a_memory_gives_all_shards_of_a_tree_the_same_durations(tmp_path: Path) -> None:
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        history = RunHistory(memory, "shop")
        first = await durations_of(memory, "shop", "tree", 2)
        assert not first.seconds
        await history.record("run-1", measured(1.0), {})
        assert await durations_of(memory, "shop", "tree", 2) == first, "as for the shard before"
        later = await durations_of(memory, "shop", "later", 2)
        assert later.seconds == {"a.py::1": 1.0}
        await history.record("run-2", measured(9.0), {})
        assert await durations_of(memory, "shop", "later", 2) == later

"""Whether the results of shards are those of one division, each test in one of them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.fleet.shards.result import ShardResult

_MOST_NAMED = 3


def check_whole(results: Sequence[ShardResult]) -> None:
    """Raise InvalidArgumentError unless these are all shards of one division of one project.

    What is wrong is told with the files, and with what to do.
    """
    _check_numbers(results)
    for first, other in pairwise(results):
        _check_alike(first, other)
    known = [result for result in results if result.division is not None]
    for first, other in pairwise(known):
        _check_divisions(first, other)
    if len(known) == len(results):
        _check_each_test_once(known)


def _check_numbers(results: Sequence[ShardResult]) -> None:
    if not results:
        raise InvalidArgumentError("name the results of all shards")
    first = results[0]
    for other in results:
        if other.of != first.of:
            raise InvalidArgumentError(
                f"{first.file} is shard {first.name} and {other.file} is shard {other.name}: "
                "merge the shards of one division"
            )
    by_part: dict[int, ShardResult] = {}
    for result in results:
        same = by_part.setdefault(result.part, result)
        if same is not result:
            raise InvalidArgumentError(
                f"shard {result.name} is given twice: {same.file} (begun {same.at}) and "
                f"{result.file} (begun {result.at}); leave one of them out"
            )
    lacking = [number for number in range(1, first.of + 1) if number not in by_part]
    if lacking:
        named = ", ".join(f"{number}/{first.of}" for number in lacking)
        raise InvalidArgumentError(
            f"the result of shard {named} is missing: name its file as well, or run it: aqe run "
            f"--shard {lacking[0]}/{first.of} --report shard=FILE"
        )


def _check_alike(first: ShardResult, other: ShardResult) -> None:
    sides: tuple[tuple[str, str | None, str | None, str], ...] = (
        ("projects", first.project, other.project, "merge the shards of one project"),
        ("commits", first.commit, other.commit, "run all shards on one commit"),
        (
            "files",
            first.tree,
            other.tree,
            "the files that git tracks (without git, *.py) have to be the same for all shards",
        ),
        (
            "versions of Python",
            _minor(first.python),
            _minor(other.python),
            "merge the shards of each Python by themselves",
        ),
    )
    for kind, here, there, advice in sides:
        if here != there:
            told = "" if kind == "files" else f" ({here} and {there})"
            raise InvalidArgumentError(
                f"{first.file} and {other.file} are of different {kind}{told}: {advice}"
            )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _check_divisions(first: ShardResult, other: ShardResult) -> None:
    here, there = _division(first), _division(other)
    counts = [Counter(division["units"]) for division in (here, there)]
    if counts[0] != counts[1]:
        unit = min(unit for unit in {*counts[0], *counts[1]} if counts[0][unit] != counts[1][unit])
        raise InvalidArgumentError(
            f"shards {first.name} and {other.name} did not collect the same tests: of {unit} "
            f"{counts[0][unit]} and {counts[1][unit]}; do all shards have the same variables, "
            f"requirements and plugins?{_advice_on_names(first)}"
        )
    if here["parts"] != there["parts"]:
        unit = min(unit for unit, part in here["parts"].items() if there["parts"][unit] != part)
        raise InvalidArgumentError(
            f"shards {first.name} and {other.name} divided the tests otherwise: {unit} is in "
            f"shard {here['parts'][unit]} for the one ({first.by}, {first.durations}, "
            f"{first.known} tests known) and in {there['parts'][unit]} for the other ({other.by}, "
            f"{other.durations}, {other.known} tests known). Give all shards the same --shard-by "
            "and the same --durations FILE, or a memory on a server, and run them again"
        )


def _advice_on_names(result: ShardResult) -> str:
    if result.by == "file":
        return ""
    return (
        " Tests whose names change from run to run need ids= for their parameters, or --shard-by "
        "file"
    )


def _check_each_test_once(results: Sequence[ShardResult]) -> None:
    ran = {result.name: _tests_of(result) for result in results}
    for result in results:
        lost = {*_division(result)["own"]} - ran[result.name]
        if lost:
            raise InvalidArgumentError(
                f"{_named(lost)} of shard {result.name} are not in its result {result.file}; run "
                "it again"
            )
    several = Counter(test for tests in ran.values() for test in tests)
    twice = {test for test, times in several.items() if times > 1}
    if twice:
        shards = [name for name, tests in ran.items() if tests & twice]
        raise InvalidArgumentError(
            f"{_named(twice)} ran in more than one shard ({', '.join(shards)}); does a plugin add "
            "tests when all are collected?"
        )
    # Names may differ from run to run where a file goes to one shard as a whole.
    division = _division(results[0])
    lacking = Counter(division["units"])
    for result in results:
        own = {*_division(result)["own"]}
        named = zip(_division(result)["ids"], _division(result)["units"], strict=True)
        lacking.subtract(unit for test, unit in named if test in own)
    nowhere = {unit for unit, count in lacking.items() if count > 0}
    if nowhere:
        raise InvalidArgumentError(
            f"tests of {_named(nowhere)} are in no shard; run all shards again with the same "
            "--durations FILE"
        )


def _division(result: ShardResult) -> dict[str, Any]:
    division = result.division
    assert division is not None  # noqa: S101 - its callers looked
    return division


def _tests_of(result: ShardResult) -> set[str]:
    return {test["id"] for test in result.findings.details["tests"]}


def _named(names: set[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(shown[:_MOST_NAMED]) + more

"""The tests of a run with their pasts, as one script that the pages of tests read.

A page a test would be thousands of files that say much the same; a browser can't read other data
from a file than scripts.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD, OUTCOMES
from lionagi_qe.agents.proportion import wilson
from lionagi_qe.display import spelled_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.history import Records
    from lionagi_qe.fleet.project_past import ProjectPast
    from lionagi_qe.fleet.run_record import RunRecord

# Of a message the beginning and the end are told; of all together no more than this.
_LONGEST_MESSAGE = 6000
_MOST_MESSAGES = 3_000_000
_LEFT_OUT = "\n[... {} characters left out; --report json=FILE has them ...]\n"
_NO_ROOM = "[left out to keep this page small; --report json=FILE has it]"


def as_script(record: RunRecord, past: ProjectPast) -> str:
    """Return a script that defines ``AQE_TESTS``."""
    text = json.dumps(_data(record, past), separators=(",", ":"), ensure_ascii=False)
    # Nothing in it may end a script or be taken for markup, wherever it is put.
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'"use strict";\nconst AQE_TESTS = {text};\n'


def _data(record: RunRecord, past: ProjectPast) -> dict[str, Any]:
    tests: list[Mapping[str, Any]] = record.detail("test-executor", "tests")
    commits = past.commits() | {record.run: record.commit}
    runs = _runs(record, past, tests)
    messages = _Messages()
    rows: list[list[Any]] = []
    of_tests: dict[str, dict[int, Any]] = {name: {} for name in ("since", "flaky", "mutants")}
    numbers = {test["id"]: number for number, test in enumerate(tests)}
    for number, test in enumerate(tests):
        records = _records(test, past, record.run)
        rows.append(
            [
                spelled_out(test["id"]),
                OUTCOMES.index(test["outcome"]),
                _milliseconds(test["seconds"]),
                messages.number_of(test["message"]),
                _packed(records, runs),
            ]
        )
        if (since := _since(records, runs)) is not None:
            of_tests["since"][number] = since
    for name, told in _flaky(record, past, commits):
        if name in numbers:
            of_tests["flaky"][numbers[name]] = told
    for at, names in enumerate(record.detail("mutation-tester", "survivors_run_by")):
        for name in names:
            if name in numbers:
                of_tests["mutants"].setdefault(numbers[name], []).append(at)
    return {
        "outcomes": OUTCOMES,
        "bad": [OUTCOMES.index(outcome) for outcome in sorted(BAD)],
        "runs": [[run, spelled_out(commits.get(run) or "")] for run in runs],
        "tests": rows,
        "messages": messages.texts,
        **of_tests,
    }


class _Messages:
    """Messages, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {"": -1}
        self._size = 0

    def number_of(self, message: str) -> int:
        """Return a message's number; -1 for none."""
        text = _shortened(message) if self._size < _MOST_MESSAGES else _NO_ROOM
        text = spelled_out(text) if message.strip() else ""
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
            self._size += len(text)
        return number


def _shortened(message: str) -> str:
    if len(message) <= _LONGEST_MESSAGE:
        return message
    half = _LONGEST_MESSAGE // 2
    return message[:half] + _LEFT_OUT.format(len(message) - 2 * half) + message[-half:]


def _runs(
    record: RunRecord, past: ProjectPast, tests: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    """Return the runs that told something of one of the tests, in order, with their numbers."""
    named = {each["run"] for test in tests for each in past.tests.get(test["id"], ())}
    return {run: number for number, run in enumerate(sorted(named | {record.run}))}


def _records(test: Mapping[str, Any], past: ProjectPast, run: str) -> Records:
    """Return a test's records with that of this run, which the memory may not have kept."""
    known = [each for each in past.tests.get(test["id"], ()) if each["run"] != run]
    return [*known, {"run": run, "outcome": test["outcome"], "seconds": test["seconds"]}]


def _packed(records: Records, runs: Mapping[str, int]) -> str:
    """Return records as text, separated by commas: numbers of run and outcome, milliseconds."""
    return ",".join(
        f"{runs[each['run']]} {OUTCOMES.index(each['outcome'])} {_milliseconds(each['seconds'])}"
        for each in records
    )


def _milliseconds(seconds: float) -> float:
    milliseconds = 1000 * seconds
    return round(milliseconds) if milliseconds >= 10 else round(milliseconds, 1)  # noqa: PLR2004


def _since(records: Records, runs: Mapping[str, int]) -> list[int] | None:
    """Return since which run a failing test fails, and in which it last did not; -1 for none."""
    first: int | None = None
    for each in reversed(records):
        if each["outcome"] not in BAD:
            return None if first is None else [first, runs[each["run"]]]
        first = runs[each["run"]]
    return None if first is None else [first, -1]


def _flaky(
    record: RunRecord, past: ProjectPast, commits: Mapping[str, str | None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield tests that are known to be flaky, with their rates and intervals."""
    now = {test["id"]: test for test in record.detail("flaky-test-hunter", "flaky")}
    mixed = dict(_mixed(past, commits))
    for name in sorted({*now, *past.hunts, *mixed}):
        told: dict[str, Any] = {}
        if name in now:
            test = now[name]
            told["rate"] = [test["rate"], test["low"], test["high"]]
            told["of"] = f"{test['draws']} {test['varied']} tried by this run"
            told["evidence"] = spelled_out(test["evidence"])
        elif hunts := past.hunts.get(name):
            failures = sum(hunt["failures"] for hunt in hunts)
            runs = sum(hunt["runs"] for hunt in hunts)
            if not runs:
                continue
            told["rate"] = [failures / runs, *wilson(failures, runs)]
            told["of"] = f"{runs} runs in {len(hunts)} earlier hunts for flaky tests"
        if name in mixed:
            told["mixed"] = spelled_out(mixed[name])
        yield name, told


def _mixed(past: ProjectPast, commits: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield tests that passed and failed at one clean commit, and the last such commit."""
    for name, records in past.tests.items():
        if not any(each["outcome"] in BAD for each in records):
            continue
        seen: Counter[tuple[str, bool]] = Counter()
        for each in records:
            commit = commits.get(each["run"])
            if commit and not commit.endswith("-dirty"):
                seen[commit, each["outcome"] in BAD] += 1
        both = [commit for commit, bad in seen if bad and seen[commit, False]]
        if both:
            yield name, both[-1]

"""Whether tests mind running side by side: two runs of the same sources, compared."""

from __future__ import annotations

import hashlib
import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.project.named_tests import is_test_file_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.outcomes import Recording
    from lionagi_qe.agents.project.workspace import Workspace

# Raise when tests are run or compared otherwise, so that what was found before is found anew.
_RECIPE = "2"
# What requirements and pytest's settings are written in.
_SETTINGS = frozenset({".cfg", ".ini", ".lock", ".toml", ".txt"})
_MOST_NAMED = 5
# Of a file that a report does not have: what ``_counts`` would say, and no digest.
_NOTHING = [0, 0, 0, 0]
_ABSENT = ""


def fingerprint_of(examination: Examination) -> str:
    """Return a digest of what decides whether tests mind each other, as far as files tell it.

    That is the tests with their data, settings and requirements, and the version of Python. The
    product's code is not in it: what a change of that may bring about, ``deviations`` tells.
    """
    pristine = examination.workspace.pristine
    digest = hashlib.sha256(f"{_RECIPE} {examination.environment.version}".encode())
    for path in sorted(_deciding(pristine)):
        digest.update(path.relative_to(pristine).as_posix().encode(errors="surrogateescape"))
        digest.update(b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _deciding(pristine: Path) -> Iterator[Path]:
    is_test = is_test_file_of(pristine)
    for folder, folders, files in os.walk(pristine):
        # What git keeps, and what a build or a run that ended before has compiled.
        folders[:] = [each for each in folders if each not in {".git", "__pycache__"}]
        for path in (Path(folder, file) for file in files):
            name = path.relative_to(pristine)
            at_top = len(name.parts) == 1 and name.suffix in _SETTINGS
            if (at_top or is_test(name.as_posix())) and path.is_file():
                yield path


def differing_tests(examination: Examination, one: Recording, other: Recording) -> list[str]:
    """Return the tests and files that ended otherwise in another run, or are in one run alone.

    Those that are known to fail by chance are left out.
    """
    if one.skipped_files.keys() != other.skipped_files.keys():
        return ["files that skip themselves as a whole"]
    uncollectable = one.uncollectable.keys() ^ other.uncollectable.keys()
    ended, ended_there = _outcomes(one), _outcomes(other)
    chance = _failing_by_chance(examination)
    differing = [
        name for name in ended if ended[name] != ended_there.get(name) and name not in chance
    ]
    return [*sorted(uncollectable), *differing, *(ended_there.keys() - ended.keys())]


def _outcomes(recording: Recording) -> dict[str, Any]:
    return {
        test.id: (test.outcome, dict(test.subtests), test.missing)
        for test in recording.tests.values()
    }


def _failing_by_chance(examination: Examination) -> set[str]:
    return {
        test
        for test, hunts in examination.history.flaky.items()
        if hunts[-1]["cause"] in {"randomness", "time"}
    }


def differing_files(one: Workspace, other: Workspace) -> list[str]:
    """Return the files of which other lines or branches ran, by the reports of two workspaces."""
    there = _ran(other)
    here = _ran(one)
    return [
        name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)
    ]


def _ran(workspace: Workspace) -> dict[str, tuple[frozenset[int], frozenset[tuple[int, ...]]]]:
    return {
        name: (
            frozenset(file["executed_lines"]),
            frozenset(map(tuple, file.get("executed_branches", []))),
        )
        for name, file in _files(workspace).items()
    }


def baseline_of(workspace: Workspace, recording: Recording) -> dict[str, Any]:
    """Return, as JSON data, what later runs of the same tests are held against.

    "ended": test -> outcome, of those that did not pass. "ran": file -> digest of its source, then
    lines and branches that ran, lines and branches that did not.
    """
    return _totals(recording) | {
        "ended": {
            test.id: test.outcome for test in recording.tests.values() if test.outcome != "passed"
        },
        "ran": {
            name: [_digest(workspace.pristine / name), *_counts(file)]
            for name, file in _files(workspace).items()
        },
    }


def deviations(
    examination: Examination, recording: Recording, baseline: Mapping[str, Any]
) -> list[str]:
    """Return what a run side by side has otherwise than the last one that was compared.

    That is tests that end otherwise, unless they are known to fail by chance; files that did not
    change and of which more or less ran; files that did, and of which more is missed. It may come
    of the product's change, or the tests mind each other by now: one session tells.
    """
    chance = _failing_by_chance(examination)
    before: Mapping[str, str] = baseline["ended"]
    otherwise = [
        test.id
        for test in recording.tests.values()
        if test.id not in chance and test.outcome != before.get(test.id, "passed")
    ]
    otherwise += [
        f"{name}: {now} instead of {baseline[name]}"
        for name, now in _totals(recording).items()
        if now != baseline[name]
    ]
    workspace, now = examination.workspace, _files(examination.workspace)
    ran: Mapping[str, list[Any]] = baseline["ran"]
    for name in sorted(ran.keys() | now.keys()):
        counts = _counts(now[name]) if name in now else _NOTHING
        digest, *counts_before = ran.get(name, [_ABSENT, *_NOTHING])
        if _digest(workspace.pristine / name) == digest:
            differs = counts != counts_before
        else:
            differs = any(map(operator.gt, counts[2:], counts_before[2:]))
        if differs:
            otherwise.append(name)
    return otherwise


def _totals(recording: Recording) -> dict[str, Any]:
    return {
        "tests": len(recording.tests),
        "subtests": dict(recording.subtests()),
        "deselected tests": recording.deselected,
        "skipped modules": len(recording.skipped_files),
        "uncollectable files": sorted(recording.uncollectable),
    }


def named(names: list[str]) -> str:
    """Return names for a sentence, the first few of many."""
    more = f" and {len(names) - _MOST_NAMED} others" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _files(workspace: Workspace) -> Mapping[str, Any]:
    report: Mapping[str, Any] = orjson.loads(coverage_data.report_path(workspace).read_bytes())
    return report["files"]


def _counts(file: Mapping[str, Any]) -> list[int]:
    summary = file["summary"]
    return [
        summary["covered_lines"],
        summary.get("covered_branches", 0),
        summary["missing_lines"],
        summary.get("missing_branches", 0),
    ]


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        # Made by the build or the tests: as if it never changed, so that one session tells.
        return None

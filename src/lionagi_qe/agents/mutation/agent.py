"""Changes the code a little, again and again, and counts the changes that no test notices."""

from __future__ import annotations

import time
from collections import ChainMap, Counter
from dataclasses import asdict, replace
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from lionagi_qe import __version__
from lionagi_qe.agents.base import DivisibleAgent, Findings, Step
from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.mutation.operators import mutants_of
from lionagi_qe.agents.mutation.runner import Candidate, Trials, try_mutants
from lionagi_qe.agents.mutation.sampling import POLICY, MutantChoice, choose
from lionagi_qe.agents.mutation.sharding import share_of
from lionagi_qe.agents.project.parsing import NOT_PARSED, reason
from lionagi_qe.agents.proportion import wilson
from lionagi_qe.agents.static.agent import product_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.line_map import TestMap
    from lionagi_qe.agents.metric import Metric

_TOOL = "aqe mutate"
_DEFAULT_SECONDS = 60.0
_CONTEXT_LINES = 2
_MOST_NAMED = 3
# Of the tests that run a surviving mutant, as details.
_MOST_TESTS = 20
_NOTICED = ("killed", "timed out")


class Uncovered(NamedTuple):
    """How many mutants no test runs, and how many of those are in code that runs on import."""

    total: int
    on_import: int


class MutationTester(DivisibleAgent):
    """The share of small changes to covered code that the tests notice.

    Mutants are tried on a copy: those of changed lines first, then an even sample of the others,
    until the time is up, so that the score is that of a sample and comes with an interval. Where
    earlier runs had survivors, more are tried beside the sample, and count among them. Only the
    tests that run a mutant's line are run on it, and lines that no test runs are counted apart.
    A test that fails on the unchanged code judges nothing: a survivor that such a test runs is
    doubtful, and a mutant that only such tests run is unjudged and no survivor.
    """

    name: ClassVar[str] = "mutation-tester"
    after: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer")
    needs: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer")
    elastic: ClassVar[bool] = True
    wants_map: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {
        "mutation_score": "%",
        "mutation_score_low": "%",
        "mutation_score_high": "%",
        "mutants": "mutants",
        "mutants_uncovered": "mutants",
        "mutants_tried": "mutants",
        "mutants_killed": "mutants",
        "mutants_timed_out": "mutants",
        "mutants_survived": "mutants",
        "mutants_doubtful": "mutants",
        "mutants_unjudged": "mutants",
        "surviving_mutants": "mutants",
    }

    async def examine_share(self, examination: Examination) -> Findings:
        """Try the share's mutants until the time is up; outcomes by the mutants' ranks."""
        until = time.monotonic() + examination.left(_DEFAULT_SECONDS)
        source = _source(examination)
        test_map = _test_map(examination)
        if isinstance(test_map, str):
            return self.unmeasured(source, test_map)
        examination.progress(Step(self.name, "making mutants"))
        candidates = _candidates(examination, test_map)[0]
        if not candidates:
            return self.unmeasured(source, "no test runs a line that could be changed")
        order = choose(candidates, examination.history.learned.get(POLICY)).order
        candidates = [candidates[number] for number in order]
        took = {
            test["id"]: test["seconds"]
            for test in examination.findings["test-executor"].details["tests"]
        }
        candidates = share_of(candidates, took, examination.share)
        if not candidates:
            return Findings(self.name, (), details={"outcomes": {}, "excluded": []})

        def tell(tried: int) -> None:
            examination.progress(Step(self.name, "trying mutants", tried, len(candidates)))

        trials = await try_mutants(examination, candidates, until, took, tell=tell)
        if trials.problem is not None:
            return self.unmeasured(source, trials.problem)
        outcomes = {candidates[at].mutant.rank: what for at, what in trials.outcomes.items()}
        return Findings(
            self.name, (), details={"outcomes": outcomes, "excluded": sorted(trials.excluded)}
        )

    def merge(self, examination: Examination, shares: Sequence[Findings]) -> Findings:
        """Count the outcomes of all shares."""
        tried = [share for share in shares if "outcomes" in share.details]
        missed = [share for share in shares if "outcomes" not in share.details]
        test_map = _test_map(examination)
        if not tried or isinstance(test_map, str):
            return missed[0]
        candidates, uncovered, notes = _candidates(examination, test_map)
        outcomes = ChainMap(*(dict(share.details["outcomes"]) for share in tried))
        numbers = {each.mutant.rank: number for number, each in enumerate(candidates)}
        trials = Trials(
            {numbers[rank]: what for rank, what in outcomes.items() if rank in numbers},
            frozenset[str]().union(*(share.details["excluded"] for share in tried)),
        )
        notes += [f"a part of the mutants was not tried: {_reason(share)}" for share in missed]
        _take_back(candidates, trials)
        choice = choose(candidates, examination.history.learned.get(POLICY))
        notes += _notes(choice, trials)
        found = self._findings(
            examination, _source(examination), candidates, uncovered, trials, choice, notes
        )
        made = choice.made(candidates, trials.outcomes).as_details()
        return replace(found, details={**found.details, "mutants": made})

    def _findings(  # noqa: PLR0913, PLR0917 - all that came of it
        self,
        examination: Examination,
        source: Source,
        candidates: Sequence[Candidate],
        uncovered: Uncovered,
        trials: Trials,
        choice: MutantChoice,
        notes: list[str],
    ) -> Findings:
        pristine = examination.workspace.pristine
        survivors = [
            candidates[number]
            for number, outcome in sorted(trials.outcomes.items())
            if outcome == "survived"
        ]
        notes += _silent(examination, trials.excluded)
        unreached = sum(outcome == "unreached" for outcome in trials.outcomes.values())
        if unreached:
            notes.append(
                f"{unreached} mutants could not be put in place: their functions exist only while "
                "tests run"
            )
        # Those that nobody doubts first.
        survivors.sort(key=lambda each: not trials.excluded.isdisjoint(each.tests))
        told = [_survivor(pristine, each, trials.excluded) for each in survivors]
        found = [_finding(each, source, trials.excluded) for each in survivors]
        doubtful = sum(bool(each["judged_nothing"]) for each in told)
        return Findings(
            self.name,
            (
                *self._measure(source, len(candidates), uncovered.total, trials, choice),
                source.measured("mutants_doubtful", doubtful, "mutants"),
                source.measured("surviving_mutants", told, "mutants"),
            ),
            details={
                "survivors": told,
                "survivors_run_by": [list(each.tests[:_MOST_TESTS]) for each in survivors],
                "scored": len(_scored(trials, choice)),
                "uncovered_on_import": uncovered.on_import,
                "judged_nothing": sorted(trials.excluded),
                "findings": [asdict(finding) for finding in fingerprinted(found, pristine)],
                "tools": [
                    {"tool": source.tool, "version": source.version}
                    | {"command": source.command, "reason": None}
                ],
            },
            notes=tuple(notes),
        )

    def _measure(
        self,
        source: Source,
        covered: int,
        uncovered: int,
        trials: Trials,
        choice: MutantChoice,
    ) -> Iterator[Metric]:
        counts = Counter(trials.outcomes.values())
        tried = sum(counts[outcome] for outcome in _NOTICED) + counts["survived"]
        scored = _scored(trials, choice)
        noticed, sampled = sum(outcome in _NOTICED for outcome in scored), len(scored)
        low, high = wilson(noticed, sampled)
        scores = {"": noticed / sampled if sampled else 0.0, "_low": low, "_high": high}
        for suffix, share in scores.items():
            name = f"mutation_score{suffix}"
            if sampled:
                yield source.measured(name, round(100 * share, 2), "%")
            else:
                yield source.unmeasured(name, "%", "there was no time to try a mutant")
        values = {
            "mutants": covered + uncovered,
            "mutants_uncovered": uncovered,
            "mutants_tried": tried,
            "mutants_killed": counts["killed"],
            "mutants_timed_out": counts["timed out"],
            "mutants_survived": counts["survived"],
            "mutants_unjudged": counts["unjudged"],
        }
        for name, value in values.items():
            yield source.measured(name, value, "mutants")


def _take_back(candidates: Sequence[Candidate], trials: Trials) -> None:
    """Count no mutant as surviving whose tests all turned out to judge nothing, perhaps later."""
    for number, outcome in trials.outcomes.items():
        if outcome == "survived" and trials.excluded.issuperset(candidates[number].tests):
            trials.outcomes[number] = "unjudged"


def _scored(trials: Trials, choice: MutantChoice) -> list[str]:
    """Return the outcomes that the score is made of: those in the even sample that tell."""
    outcomes = (trials.outcomes[number] for number in choice.sample(trials.outcomes))
    return [outcome for outcome in outcomes if outcome in _NOTICED or outcome == "survived"]


def _silent(examination: Examination, excluded: Collection[str]) -> Iterator[str]:
    """Yield which tests judged no mutant: those that failed in the run, and all others apart."""
    tests = examination.findings["test-executor"].details["tests"]
    failed = {test["id"] for test in tests if test["outcome"] in BAD}
    for which, why in (
        (failed.intersection(excluded), "on the unchanged code"),
        (
            set(excluded) - failed,
            "on the unchanged code when run a second time or in another order",
        ),
    ):
        if which:
            fails = "1 test that fails" if len(which) == 1 else f"{len(which)} tests that fail"
            yield f"{fails} {why} judged no mutant: {_named(which)}"


def _named(tests: Iterable[str]) -> str:
    """Return the first of these tests, and how many more there are."""
    listed = sorted(tests)
    more = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _notes(choice: MutantChoice, trials: Trials) -> list[str]:
    beside = len(trials.outcomes) - len(choice.sample(trials.outcomes))
    if not beside:
        return []
    note = (
        f"{beside} of the mutants tried are in functions where others survived in earlier runs; "
        "the score is that of the even sample of all others"
    )
    return [note]


def _source(examination: Examination) -> Source:
    release = __version__
    return Source(_TOOL, release, "aqe mutate .", examination.workspace.commit)


def _test_map(examination: Examination) -> TestMap | str:
    """Return which test runs which line, or why that is not known."""
    coverage = examination.findings.get("coverage-analyzer")
    test_map: TestMap | None = None if coverage is None else coverage.details.get("test_map")
    if test_map is not None:
        return test_map
    reason = "no coverage" if coverage is None else coverage.details.get("no_map")
    return f"it is not known which test runs which line: {reason}"


def _reason(share: Findings) -> str:
    return next((str(metric.reason) for metric in share.metrics if metric.reason), "no reason told")


def _candidates(
    examination: Examination, test_map: TestMap
) -> tuple[list[Candidate], Uncovered, list[str]]:
    """Return the mutants in the order of trial, those that no test runs, and what went wrong."""
    source = examination.workspace.pristine
    candidates: list[Candidate] = []
    uncovered = on_import = 0
    notes: list[str] = []
    for path in product_files(source, examination.environment.layout.names):
        file = path.relative_to(source).as_posix()
        mapped = test_map.files.get(file)
        changed = frozenset[int]() if examination.diff is None else examination.diff.added(file)
        try:
            mutants = mutants_of(file, _text(path))
        except NOT_PARSED as error:
            notes.append(f"no mutants of {file}: {reason(error)}")
            continue
        for mutant in mutants:
            lines = {mutant.line, mutant.statement}
            tests = frozenset[str]() if mapped is None else mapped.tests_of(lines)
            if tests:
                is_changed = not changed.isdisjoint(lines)
                candidates.append(Candidate(mutant, tuple(sorted(tests)), is_changed))
            else:
                uncovered += 1
                on_import += mapped is not None and mutant.statement in mapped.imported
    candidates.sort(key=lambda each: (not each.changed, each.mutant.rank))
    return candidates, Uncovered(uncovered, on_import), notes


def _text(path: Path) -> str:
    # Line ends as they are: mutants count characters.
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _survivor(pristine: Path, candidate: Candidate, excluded: Collection[str]) -> dict[str, Any]:
    mutant = candidate.mutant
    text = _text(pristine / mutant.file)
    diff = unified_diff(
        text.splitlines(),
        mutant.apply(text).splitlines(),
        mutant.file,
        mutant.file,
        n=_CONTEXT_LINES,
        lineterm="",
    )
    return {
        "file": mutant.file,
        "line": mutant.line,
        "rank": mutant.rank,
        "function": mutant.function,
        "operator": mutant.operator,
        "changed": candidate.changed,
        "tests": len(candidate.tests),
        "judged_nothing": sorted(set(candidate.tests) & set(excluded)),
        "diff": "\n".join(diff),
    }


def _finding(candidate: Candidate, source: Source, excluded: Collection[str]) -> Finding:
    mutant = candidate.mutant
    silent = set(candidate.tests) & set(excluded)
    aside = (
        f"; {_named(silent)} judged nothing, failing on the unchanged code, too" if silent else ""
    )
    return Finding(
        source.tool,
        str(source.version),
        f"survivor-{mutant.operator.replace(' ', '-')}",
        f"surviving mutant: {mutant.operator}",
        "note",
        f"{mutant.function}: {len(candidate.tests)} tests run this line, and none notices that "
        f"it reads {' '.join(mutant.replacement.split())!r} here{aside}",
        mutant.file,
        mutant.line,
    )

"""Has tests written for functions that no test runs, and keeps those that are worth it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.generation.candidate import STAGES, Target, Verdict
from lionagi_qe.agents.generation.ghostwriter import Ghostwriter
from lionagi_qe.agents.generation.validation import try_candidate
from lionagi_qe.agents.llm.availability import needing_lionagi
from lionagi_qe.agents.metric import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.generation.candidate import CandidateTest, Proposer
    from lionagi_qe.agents.generation.llm_writer import ModelWriter
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.project.model_choice import ModelChoice

_TOOL = "hypothesis"
_REQUIREMENT = "hypothesis[ghostwriter]>=6.115"
_DEFAULT_SECONDS = 60.0
# How coverage-analyzer calls what lies outside of functions.
_TOP_LEVEL = "(module)"
_NO_MODEL = "no model was asked: name one with --model"


class TestGenerator(Agent):
    """Tests by Hypothesis' ghostwriter, or by a model, tried before they are offered.

    A test is kept if it collects, passes five times with other seeds, and runs lines that no test
    ran or notices a mutant that no test noticed: the same trial whoever wrote it. It may touch
    nothing but its arguments. Nothing is written into the project.
    """

    name: ClassVar[str] = "test-generator"
    after: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer", "mutation-tester")
    needs: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer")
    elastic: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {
        "generated_tests": "tests",
        "generated_lines": "lines",
        "generated_kills": "mutants",
        "generation_tried": "functions",
        "generation_left": "functions",
        "candidates_proposed": "tests",
        "candidates_built": "tests",
        "candidates_passed": "tests",
        "possible_bugs": "tests",
        "model_requests": "requests",
        "model_prompt_tokens": "tokens",
        "model_completion_tokens": "tokens",
        "model_cost": "USD",
    }

    def stays_home(self, examination: Examination) -> bool:
        """Whether a model is asked, whose key is in this environment and no other worker's."""
        return examination.settings.model is not None

    async def examine(self, examination: Examination) -> Findings:
        """Try one function after the other, those with the most missed lines first."""
        until = time.monotonic() + examination.left(_DEFAULT_SECONDS)
        commit = examination.workspace.commit
        choice = examination.settings.model
        coverage = examination.findings.get("coverage-analyzer")
        gaps = None if coverage is None else coverage.metric("gaps")
        if coverage is None or gaps is None or not gaps.measured:
            reason = "coverage was not measured" if gaps is None else str(gaps.reason)
            tool = _TOOL if choice is None else choice.label
            return self.unmeasured(Source(tool, None, None, commit), reason)

        def tell(text: str) -> None:
            examination.progress(Step(self.name, text))

        own, writer, proposer = examination, None, None
        if choice is not None:
            proposer = writer = _writer(choice, examination, coverage.details["gaps"])
        else:
            tools = await examination.environment.with_tools(
                [_REQUIREMENT], examination.workspace, tell
            )
            own = replace(examination, environment=tools)
            proposer = Ghostwriter(_ghost_source(own))
        targets = [
            target
            for target in _targets(examination, coverage.details["gaps"])
            if proposer.can_write(target)
        ]
        work = _Work()
        for target in targets:
            if time.monotonic() >= until or proposer.exhausted is not None:
                break
            tell(f"writing tests of {target.module}.{target.function}")
            work.tried += 1
            await _write_for(own, proposer, target, until, work)
        if writer is not None and not work.verdicts and writer.exhausted is not None:
            return self._unasked(writer, writer.exhausted)
        return self._findings(proposer.source, writer, work, len(targets))

    def _findings(
        self, source: Source, writer: ModelWriter | None, work: _Work, targets: int
    ) -> Findings:
        kept = [verdict for _, verdict in work.verdicts if verdict.stage == "useful"]
        reached = {
            stage: sum(verdict.reached(stage) for _, verdict in work.verdicts) for stage in STAGES
        }
        values = {
            "generated_tests": reached["useful"],
            "generated_lines": sum(len(verdict.lines_added) for verdict in kept),
            "generated_kills": sum(len(verdict.killed) for verdict in kept),
            "generation_tried": work.tried,
            "generation_left": targets - work.tried,
            "candidates_proposed": reached["proposed"],
            "candidates_built": reached["built"],
            "candidates_passed": reached["passed"],
            "possible_bugs": len(work.possible_bugs()),
        }
        stopped = None if writer is None else writer.exhausted
        return Findings(
            self.name,
            (
                *(
                    source.measured(name, value, self.metrics[name])
                    for name, value in values.items()
                ),
                *_spent(source, writer),
            ),
            details={
                "tests": [
                    verdict.as_kept(target)
                    for target, verdict in work.verdicts
                    if verdict.stage == "useful"
                ],
                "rejected": work.rejected(),
                "possible_bugs": work.possible_bugs(),
            },
            notes=() if stopped is None else (f"test-generator stopped early: {stopped}",),
        )

    def _unasked(self, writer: ModelWriter, reason: str) -> Findings:
        """Return that the model gave nothing to try, and still what that cost."""
        spent = {metric.name: metric for metric in _spent(writer.source, writer)}
        unmeasured = self.unmeasured(writer.source, reason)
        return replace(
            unmeasured,
            metrics=tuple(spent.get(metric.name, metric) for metric in unmeasured.metrics),
        )


@dataclass(slots=True)
class _Work:
    """What was done so far.

    Attributes:
        tried: how many functions.
        verdicts: of all candidates, each with its target.
        unwritten: targets without a candidate, and why.
    """

    tried: int = 0
    verdicts: list[tuple[Target, Verdict]] = field(default_factory=list[tuple[Target, Verdict]])
    unwritten: list[tuple[Target, str]] = field(default_factory=list[tuple[Target, str]])

    def rejected(self) -> list[dict[str, Any]]:
        """Return what is not kept, and why; failures are told apart."""
        told = [(target, why) for target, why in self.unwritten]
        told += [
            (target, each.why)
            for target, each in self.verdicts
            if each.stage != "useful" and each.failure is None
        ]
        return [
            {"file": target.file, "function": target.function, "why": why} for target, why in told
        ]

    def possible_bugs(self) -> list[dict[str, Any]]:
        """Return the tests that failed twice alike: each is wrong, or the code is."""
        return [
            {
                "file": target.file,
                "function": target.function,
                "source": each.candidate.source,
                "message": each.failure,
            }
            for target, each in self.verdicts
            if each.failure is not None
        ]


async def _write_for(
    examination: Examination, proposer: Proposer, target: Target, until: float, work: _Work
) -> None:
    """Have candidates written for a target and try them, until none or nothing is left."""
    judged: list[Verdict] = []
    while time.monotonic() < until:
        candidates = await proposer.candidates(examination, target, judged, until)
        if isinstance(candidates, str):
            work.unwritten.append((target, candidates))
            return
        judged = []
        for candidate in candidates:
            verdict = await _judge(examination, proposer, target, candidate, until)
            work.verdicts.append((target, verdict))
            judged.append(verdict)
            if verdict.stage == "useful":
                target = target.after(verdict)
        if not judged:
            return


async def _judge(
    examination: Examination,
    proposer: Proposer,
    target: Target,
    candidate: CandidateTest,
    until: float,
) -> Verdict:
    objection = proposer.objection(examination, candidate)
    if objection is not None:
        return Verdict(candidate, "proposed", objection)
    if time.monotonic() >= until:
        return Verdict(candidate, "proposed", "there was no time to try it")
    return await try_candidate(examination, target, candidate, until)


def _targets(examination: Examination, gaps: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    """Yield functions with missed lines, then those all of whose lines run but mutants survive."""
    source, roots = examination.workspace.source, examination.environment.layout.roots
    survivors: dict[tuple[str, str], set[str]] = {}
    tester = examination.findings.get("mutation-tester")
    for each in [] if tester is None else tester.details.get("survivors", []):
        survivors.setdefault((each["file"], each["function"]), set()).add(each["rank"])
    missed = {
        (gap["file"], gap["function"]): tuple(gap["missed_lines"])
        for gap in gaps
        # A module's own statements run when it is imported, or can't be tested.
        if gap["missed_lines"] and gap["function"] != _TOP_LEVEL
    }
    for place in (*missed, *(place for place in survivors if place not in missed)):
        module = _module(source / place[0], roots)
        if module:
            yield Target(
                place[0],
                module,
                place[1],
                missed.get(place, ()),
                frozenset(survivors.get(place, ())),
            )


def _module(path: Path, roots: Sequence[Path]) -> str:
    """Return the name by which a file is imported; nothing if it can't be."""
    root = next((root for root in roots if path.is_relative_to(root)), None)
    if root is None:
        return ""
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _spent(source: Source, writer: ModelWriter | None) -> Iterator[Metric]:
    """Yield what a model was asked and what that cost, as its API told."""
    units = TestGenerator.metrics
    meter = None if writer is None else writer.meter
    figures: dict[str, tuple[float | None, str | None]] = dict.fromkeys(
        ("model_requests", "model_prompt_tokens", "model_completion_tokens", "model_cost"),
        (None, _NO_MODEL),
    )
    if meter is not None:
        silent = meter.unknown_tokens
        figures = {
            "model_requests": (meter.requests, None),
            "model_prompt_tokens": (meter.prompt_tokens, silent),
            "model_completion_tokens": (meter.completion_tokens, silent),
            "model_cost": (meter.cost, meter.unknown_cost),
        }
    for name, (value, reason) in figures.items():
        yield source.told(name, value, units[name], reason)


def _writer(
    choice: ModelChoice, examination: Examination, gaps: Sequence[dict[str, Any]]
) -> ModelWriter:
    """Return the model as a writer.

    Raises:
        InvalidArgumentError: LionAGI is not installed here, or the model's key is missing.

    """
    with needing_lionagi():
        from lionagi_qe.agents.generation.llm_writer import ModelWriter
    source = Source(
        choice.label,
        f"by lionagi {version('lionagi')}",
        f"aqe generate --model {choice.label}",
        examination.workspace.commit,
    )
    tester = examination.findings.get("mutation-tester")
    survivors = [] if tester is None else tester.details.get("survivors", [])
    return ModelWriter(choice, source, gaps, survivors)


def _ghost_source(examination: Examination) -> Source:
    """Return Hypothesis with its version, from the overlay that was used."""
    overlay = examination.environment.tool_overlays[-1]
    commit = examination.workspace.commit
    return Source(_TOOL, _dist_version(overlay), "hypothesis write --style=pytest", commit)


def _dist_version(overlay: Path) -> str:
    found = sorted(overlay.glob("hypothesis-*.dist-info"))
    return found[0].name.split("-")[1].removesuffix(".dist") if found else "unknown"

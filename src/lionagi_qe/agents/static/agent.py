"""Reads the code without running it: tangled functions, dangerous calls, secrets left in files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.finding import COMPLEXITY, Finding, fingerprinted
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project import complexity
from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.named_tests import is_test_file_of
from lionagi_qe.agents.scan import Scan, details_of
from lionagi_qe.agents.static import secrets as secrets_scan
from lionagi_qe.agents.static import security
from lionagi_qe.agents.static.baseline import marked, read_baseline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.metric import Metric

_COMPLEXITY_HELP = "https://radon.readthedocs.io/en/latest/intro.html#cyclomatic-complexity"


class StaticAnalyzer(Agent):
    """Complexity by radon, dangerous code by bandit, secrets by detect-secrets.

    Findings that the project's baseline lists are known, and not counted as new.
    """

    name: ClassVar[str] = "static-analyzer"
    metrics: ClassVar[Mapping[str, str]] = {
        "functions": "functions",
        "max_complexity": "paths",
        "complex_functions": "functions",
        "security_findings": "findings",
        "security_notes": "findings",
        "secrets": "findings",
        "static_findings_new": "findings",
        "static_findings_known": "findings",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Run the three tools at the same time; one that fails takes nothing from the others."""
        examination.progress(Step(self.name, "reading the code"))
        settings, pristine = examination.settings, examination.workspace.pristine
        known: frozenset[str] = frozenset()
        if settings.baseline is not None:
            known = read_baseline(pristine / settings.baseline)
        graded, dangers, secrets = await asyncio.gather(
            asyncio.to_thread(
                _grade,
                pristine,
                examination.environment.layout.names,
                examination.workspace.commit,
            ),
            security.bandit(examination),
            secrets_scan.detect_secrets(examination),
        )
        functions, tangle = graded
        limit = settings.max_complexity
        tangled = [_finding(*function) for function in functions if function[1].complexity > limit]
        scans = (tangle, dangers, secrets)
        # The baseline itself is full of what looks like secrets.
        found = [
            finding
            for finding in (*tangled, *dangers.findings, *secrets.findings)
            if finding.file != settings.baseline
        ]
        findings = marked(fingerprinted(found, pristine), known)
        return Findings(
            self.name,
            (
                *_tangle(tangle, [function.complexity for _, function in functions], len(tangled)),
                *_counts(dangers, secrets, findings),
                *_novelty(scans, findings, examination.workspace.commit),
            ),
            details=details_of(scans, findings),
            notes=tuple(
                f"{scan.source.tool} did not read {file}: {problem}"
                for scan in scans
                for file, problem in scan.unread
            ),
        )


def _grade(
    pristine: Path, names: Collection[str], commit: str | None
) -> tuple[list[tuple[str, complexity.Graded]], Scan]:
    """Return the product's functions with their files, and which files radon could not read."""
    functions: list[tuple[str, complexity.Graded]] = []
    unread: list[tuple[str, str]] = []
    for path in product_files(pristine, names):
        name = path.relative_to(pristine).as_posix()
        graded, problem = complexity.grade(path)
        functions += [(name, function) for function in graded]
        if problem is not None:
            unread.append((name, problem))
    source = Source(complexity.TOOL, complexity.VERSION, "radon cc .", commit)
    reason = None if functions else "there is no function"
    return functions, Scan(source, reason=reason, unread=tuple(unread))


def product_files(source: Path, names: Collection[str]) -> Iterator[Path]:
    """Yield the Python files of the product in a tree, its tests left out.

    Args:
        source: the tree.
        names: of the top-level packages and modules that are the product's.

    """
    layout, is_test = layout_of(source, names).only(names), is_test_file_of(source)
    for top in layout.packages + layout.modules:
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            if not is_test(path.relative_to(source).as_posix()):
                yield path


def _finding(file: str, function: complexity.Graded) -> Finding:
    return Finding(
        complexity.TOOL,
        complexity.VERSION,
        COMPLEXITY,
        "cyclomatic complexity",
        "warning",
        f"{function.name} has {function.complexity} independent paths; split it",
        file,
        function.line,
        url=_COMPLEXITY_HELP,
        # Stays the same while the function grows or shrinks.
        fingerprint=function.name,
    )


def _tangle(tangle: Scan, complexities: Sequence[int], above: int) -> Iterator[Metric]:
    values = {
        "functions": len(complexities),
        "max_complexity": max(complexities, default=0),
        "complex_functions": above,
    }
    for name, value in values.items():
        unit = StaticAnalyzer.metrics[name]
        yield tangle.source.told(name, value, unit, tangle.reason)


def _counts(dangers: Scan, secrets: Scan, findings: Sequence[Finding]) -> Iterator[Metric]:
    for name, scan, notes in (
        ("security_findings", dangers, False),
        ("security_notes", dangers, True),
        ("secrets", secrets, False),
    ):
        if scan.reason is not None:
            yield scan.source.unmeasured(name, "findings", scan.reason)
            continue
        count = sum(
            finding.tool == scan.source.tool and (finding.level == "note") is notes
            for finding in findings
        )
        yield scan.source.measured(name, count, "findings")


def _novelty(
    scans: Sequence[Scan], findings: Sequence[Finding], commit: str | None
) -> Iterator[Metric]:
    """Count what all three found; what one of them missed would make the sum a wrong one."""
    source = Source(
        " + ".join(scan.source.tool for scan in scans),
        " + ".join(str(scan.source.version) for scan in scans),
        "; ".join(scan.source.command for scan in scans if scan.source.command),
        commit,
    )
    silent = [scan for scan in scans if scan.reason is not None and scan.source.tool != "radon"]
    weighty = [finding for finding in findings if finding.level != "note"]
    for name, known in (("static_findings_new", False), ("static_findings_known", True)):
        if silent:
            reason = f"{silent[0].source.tool}: {silent[0].reason}"
            yield source.unmeasured(name, "findings", reason)
        else:
            count = sum(finding.known is known for finding in weighty)
            yield source.measured(name, count, "findings")

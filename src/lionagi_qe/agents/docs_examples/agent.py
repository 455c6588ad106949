"""Runs the doctests of the product's modules and the examples in its documents."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.docs_examples.documents import documents_of
from lionagi_qe.agents.execution.follower import Follower
from lionagi_qe.agents.execution.phases import BAD
from lionagi_qe.agents.execution.pytest_session import last_words, missing_packages, run_pytest
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.layout import TEST_FILES
from lionagi_qe.agents.scan import Scan, details_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.outcomes import Test
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.metric import Metric

_TIMEOUT = 900.0
# Nobody waits longer for an example; one that serves for ever is ended.
_EXAMPLE_SECONDS = 30.0
_SYBIL = "sybil>=6"
_DOCTEST_HELP = "https://docs.python.org/3/library/doctest.html"
_SYBIL_HELP = "https://sybil.readthedocs.io"
# Only doctests: not the tests that lie beside them, nor what looks like one.
_NO_TEST_FILES = (
    *("-o", "python_files=", "-o", "python_functions=aqe_none", "-o", "python_classes=AqeNone"),
    *(f"--ignore-glob=*/{pattern.removeprefix('**/')}" for pattern in TEST_FILES),
)
_GO_ON = ("--continue-on-collection-errors",)
_LINE = re.compile(r"\bline:(\d+),column:\d+$")
_PLACE = re.compile(r"^(?:\S*/)?[^\s/]+:(\d+): [\w.]+$", re.MULTILINE)


class DocsTester(Agent):
    """Docstrings by pytest's ``--doctest-modules``, documents by Sybil, on a copy."""

    name: ClassVar[str] = "docs-tester"
    metrics: ClassVar[Mapping[str, str]] = {
        "doctests": "docstrings",
        "doctests_failed": "docstrings",
        "doctests_unread": "modules",
        "docs_examples": "examples",
        "docs_examples_failed": "examples",
        "docs_examples_skipped": "examples",
        "docs_unread": "documents",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Run both in sessions of their own; one that fails takes nothing from the other."""
        examination.progress(Step(self.name, "running the examples of docstrings"))
        doctests = await _doctests(examination)
        examination.progress(Step(self.name, "running the examples of documents"))
        examples = await _examples(examination)
        pristine = examination.workspace.pristine
        found = fingerprinted((*doctests.findings(), *examples.findings()), pristine)
        return Findings(
            self.name,
            (*self._of_doctests(doctests), *self._of_examples(examples)),
            details_of((doctests.scan(), examples.scan()), found),
            (*doctests.notes(), *examples.notes()),
        )

    def _of_doctests(self, run: _Run) -> Iterator[Metric]:
        values = {
            "doctests": len(run.tests),
            "doctests_failed": run.failed,
            "doctests_unread": len(run.unread),
        }
        yield from run.metrics(values, self.metrics)

    def _of_examples(self, run: _Run) -> Iterator[Metric]:
        values = {
            "docs_examples": len(run.tests),
            "docs_examples_failed": run.failed,
            "docs_examples_skipped": run.outcomes["skipped"] + run.outcomes["unimportable"],
            "docs_unread": len(run.unread),
        }
        yield from run.metrics(values, self.metrics)


@dataclass(frozen=True, slots=True)
class _Run:
    """One session over examples, or why there was none.

    Attributes:
        source: the tool, and how it was called.
        rule: of its findings.
        url: where it is explained.
        reason: why nothing was measured.
        tests: the examples.
        unread: file -> why it could not be read or imported.
        missing: package -> what needs it.
    """

    source: Source
    rule: str
    url: str
    reason: str | None = None
    tests: Sequence[Test] = ()
    unread: Mapping[str, str] = field(default_factory=dict[str, str])
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(test.outcome for test in self.tests)

    @property
    def failed(self) -> int:
        return sum(test.outcome in BAD for test in self.tests)

    def metrics(self, values: Mapping[str, int], units: Mapping[str, str]) -> Iterator[Metric]:
        for name, value in values.items():
            yield self.source.told(name, value, units[name], self.reason)

    def scan(self) -> Scan:
        return Scan(self.source, reason=self.reason)

    def notes(self) -> Iterator[str]:
        for package, places in self.missing.items():
            files = ", ".join(sorted({place.partition("::")[0] for place in places}))
            yield f"examples of {files} were not run: {package} is not installed"

    def findings(self) -> Iterator[Finding]:
        for test in self.tests:
            if test.outcome in BAD:
                yield self._finding(test.id, test.message)
        lacking = {place for places in self.missing.values() for place in places}
        for file, text in self.unread.items():
            if file not in lacking:
                yield self._finding(file, f"it can't be read: {text}")

    def _finding(self, name: str, message: str) -> Finding:
        file, _, example = name.partition("::")
        told = _LINE.search(name) or _PLACE.search(message)
        line = int(told[1]) if told else None
        lines = [each.strip() for each in message.splitlines() if each.strip()]
        named = [each[1:].strip() for each in lines if each.startswith("E  ")]
        said = named or _difference(lines) or lines[-1:]
        return Finding(
            self.source.tool,
            str(self.source.version),
            self.rule,
            self.rule.replace("-", " "),
            "warning",
            f"{example or file}: {' '.join(said)[:300]}",
            file,
            line,
            line,
            self.url,
        )


def _difference(lines: Sequence[str]) -> list[str]:
    """Return what doctest expected and got, as it told at the end."""
    if "Got:" not in lines:
        return []
    start = lines.index("Expected:") if "Expected:" in lines else lines.index("Got:")
    return [line for line in lines[start:] if not _PLACE.match(line)]


async def _doctests(examination: Examination) -> _Run:
    layout = examination.environment.layout
    if not layout.scope:
        source = Source("pytest", None, None, examination.workspace.commit)
        return _Run(source, "doctest", _DOCTEST_HELP, "no package or module found")
    words = ["--doctest-modules", *_GO_ON, *_NO_TEST_FILES, *layout.scope]
    ran = await _session(examination, "doctests", words)
    return _run(examination, ran, "pytest", "doctest", _DOCTEST_HELP)


async def _examples(examination: Examination) -> _Run:
    workspace = examination.workspace
    documents = documents_of(workspace.pristine, examination.settings.docs)
    commit = workspace.commit
    if not documents:
        source = Source("sybil", None, None, commit)
        reason = f"no document with Python in it among {', '.join(examination.settings.docs)}"
        return _Run(source, "docs-example", _SYBIL_HELP, reason)

    def tell(text: str) -> None:
        examination.progress(Step(DocsTester.name, text))

    environment = await examination.environment.with_tools([_SYBIL], workspace, tell)
    names = [path.relative_to(workspace.pristine).as_posix() for path in documents]
    own = replace(examination, environment=environment)
    ran = await _session(own, "docs", ["-p", "aqe_docs", *_GO_ON, *names])
    run = _run(own, ran, "sybil", "docs-example", _SYBIL_HELP)
    if run.reason is None and not run.tests:
        return replace(run, reason=f"Sybil found no example of Python in {', '.join(names)}")
    return run


@dataclass(frozen=True, slots=True)
class _Ran:
    """A session, what was not installed for it, and Sybil's version, where that was used."""

    session: Session
    missing: Mapping[str, Sequence[str]]
    sybil: str | None


async def _session(examination: Examination, name: str, words: Sequence[str]) -> _Ran:
    """Run pytest in a copy of its own, since examples write files."""
    with examination.workspace.fork(name) as fork:
        own = examination.within(fork)
        record, told = fork.artifacts / f"{name}.jsonl", fork.artifacts / "sybil.txt"
        timeout = examination.seconds(min(_TIMEOUT, examination.settings.timeout))
        limit = examination.settings.test_timeout or _EXAMPLE_SECONDS
        stacks = record.with_suffix(".stacks")
        until = time.monotonic() + timeout
        follower = Follower(
            DocsTester.name, record, stacks, examination.progress, limit, timeout, until
        )
        session = await run_pytest(
            own,
            record,
            arguments=["-p", "no:cacheprovider", *words],
            variables={"AQE_STACKS": str(stacks), "AQE_SYBIL": str(told)},
            timeout=timeout,
            watch=follower.look,
        )
        for test in session.recording.tests.values():
            test.message = fork.shown(test.message)
        read = session.recording.uncollectable
        read |= {file: fork.shown(text) for file, text in read.items()}
        sybil = told.read_text(encoding="utf-8") if told.exists() else None
        return _Ran(session, missing_packages(own, session.recording), sybil)


def _run(examination: Examination, ran: _Ran, tool: str, rule: str, url: str) -> _Run:
    session, shown = ran.session, examination.workspace.shown
    recording = session.recording
    release = recording.pytest if tool == "pytest" else ran.sybil
    source = Source(tool, release, shown(session.command), examination.workspace.commit)
    reason = None
    if recording.internal_error is not None or not recording.collected:
        told = shown(last_words(session))
        reason = f"pytest {session.completed.how} before it had collected the examples: {told}"
    elif recording.exit is None or recording.not_run:
        reason = (
            f"pytest {session.completed.how} with {len(recording.not_run)} of "
            f"{len(recording.tests)} examples not run: {shown(last_words(session))}"
        )
    tests = [*recording.tests.values()]
    return _Run(source, rule, url, reason, tests, recording.uncollectable, ran.missing)

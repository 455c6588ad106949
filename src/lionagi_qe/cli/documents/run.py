"""A run as ``aqe run --json`` prints it, and the commands that run agents as it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lionagi_qe.agents.finding import Finding
from lionagi_qe.agents.gate.agent import Ruling
from lionagi_qe.agents.metric import Metric
from lionagi_qe.cli.documents.document import Json, Shape
from lionagi_qe.cli.documents.failure_groups import FailureGroup, ShardFailureGroup
from lionagi_qe.fleet.comparison import Comparison


@dataclass(frozen=True, kw_only=True)
class AgentMetric(Metric):
    """A figure, with the agent that states it."""

    agent: str


class Environment(Shape):
    """In what the tests ran."""

    python: str
    """The version."""
    interpreter: str
    origin: str
    """Where the environment is from, for people."""
    scope: list[str]
    """The product's code."""
    scope_origin: str


class Test(Shape):
    """A test and how it ended."""

    id: str
    outcome: str
    """passed, failed, error, skipped, xfailed, xpassed, interrupted, unimportable or not_run."""
    seconds: float
    message: str
    shared: float = 0.0
    """Of its seconds, those of fixtures that tests of other files use as well."""
    subtests: dict[str, int]
    """How many ended in each way."""
    missing: str | None
    """The module that the test could not import."""


class Order(Shape):
    """In which order tests ran."""

    ran: str
    why: str


class File(Shape):
    """Coverage of a file."""

    file: str
    lines: int
    lines_covered: int
    branches: int
    branches_covered: int


class ChangedLines(Shape):
    """Lines of code that changed since the base."""

    ref: str
    """The base, as it was named."""
    total: int
    covered: int
    missed: dict[str, str]
    """File -> lines that no test ran, such as 430-432,440."""


class FlakyTest(Shape):
    """A test that fails by chance."""

    id: str
    runs: int
    failures: int
    rate: float | None
    low: float | None
    high: float | None
    """Bounds of the 95 % interval of the rate."""
    draws: int
    varied: str
    cause: str
    causes: list[str]
    confirmed: bool
    evidence: str
    repeat: list[str]
    """Options of aqe repeat that run it again as it failed."""
    repeat_shows: str
    past: Json


class Survivor(Shape):
    """A mutant that no test noticed."""

    file: str
    line: int
    function: str
    operator: str
    diff: str
    tests: int
    """How many tests run it."""
    rank: str
    changed: bool
    judged_nothing: list[str]


class NotGenerated(Shape):
    """A function that no test was kept for."""

    file: str
    function: str
    why: str


class RunDocument(Shape):
    """A run: its figures, what it found, and how the gate judged it."""

    schema_: Literal[1]
    """Grows when the shape changes so that readers have to change."""
    run: str
    project: str
    path: str
    commit: str | None
    at: str
    """ISO 8601, UTC."""
    memory: str
    """Where it is kept; without a password."""
    environment: Environment
    metrics: list[AgentMetric]
    tests: list[Test]
    failure_groups: list[FailureGroup | ShardFailureGroup]
    """Failures that are one failure, those of most tests first."""
    order: Order | None
    uncollectable: dict[str, str]
    """File -> why its tests could not be collected."""
    files: list[File]
    changed_lines: ChangedLines | None
    """With --base."""
    findings: list[Finding]
    flaky: list[FlakyTest]
    not_idempotent: list[Json]
    selection: dict[str, Json] | None
    survivors: list[Survivor]
    generated: list[dict[str, Json]]
    not_generated: list[NotGenerated]
    possible_bugs: list[Json]
    gate: list[Ruling]
    comparison: Comparison | None
    notes: list[str]
    defects: dict[str, str]
    """Agent -> the traceback with which it ended."""
    exit_code: int


class NotExamined(Shape):
    """A project that could not be examined."""

    path: str
    error: str
    exit_code: int


class RunsDocument(Shape):
    """What aqe run --all prints: the runs of the projects in a directory."""

    projects: list[RunDocument | NotExamined]
    exit_code: int
    """The gravest."""

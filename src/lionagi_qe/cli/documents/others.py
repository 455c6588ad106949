"""Documents of commands that tell one thing each."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict

from lionagi_qe.agents.gate.agent import Ruling
from lionagi_qe.agents.metric import Metric
from lionagi_qe.cli.diagnosis.finding import Finding as Diagnosed
from lionagi_qe.cli.documents.document import Json, Shape


class Judged(Shape):
    """A run, judged by today's rules."""

    run: str
    gate: Metric
    rulings: list[Ruling]


@dataclass(frozen=True, kw_only=True)
class PastMetric(Metric):
    """A figure, with the run that it is of."""

    run: str


class History(Shape):
    """Figures over the runs of a project, the oldest first."""

    project: str
    metrics: dict[str, list[PastMetric]]


class Diagnosis(Shape):
    """What aqe doctor found; facts of the server, as the kind of server has them, stand beside."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    findings: list[Diagnosed]
    advice: list[str]
    """The findings as sentences."""


class Claim(Shape):
    """What a model said, and what was measured."""

    text: str
    measured: str | None
    source: str | None


class UnsupportedClaim(Claim):
    """What a model said that no measurement supports."""

    objection: str | None


class Usage(Shape):
    """What an answer cost; where a number is unknown, why."""

    requests: int
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens_reason: str | None
    cost_usd: float | None
    cost_reason: str | None


class Answer(Shape):
    """An answer of aqe ask."""

    question: str
    model: str
    claims: list[Claim]
    unsupported: list[UnsupportedClaim]
    stopped: str | None
    usage: Usage


class KeptThing(Shape):
    """Something in the cache directory."""

    kind: str
    paths: list[str]
    of: str
    used: str
    """ISO 8601, UTC."""
    size: int
    """Bytes."""


class LeftThing(KeptThing):
    """Something that stays."""

    why: str


class Wheels(Shape):
    """The wheels that an installer keeps."""

    installer: str
    path: str
    size: int
    """Bytes."""
    prune: str
    """The command that makes room."""


class Cache(Shape):
    """What is kept between runs."""

    path: str
    bytes: int
    kept: list[KeptThing]
    wheels: list[Wheels]


class PrunedCache(Shape):
    """What was deleted, or would be."""

    dry_run: bool
    bytes: int
    deleted: list[KeptThing]
    left: list[LeftThing]


class Interval(Shape):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


class LearnedDecisions(Shape):
    """Decisions of one policy beside others."""

    decisions: int
    scored: int
    orders: dict[str, Interval]
    gain: Interval | None
    verdict: str
    acting: str
    switched_because: str | None


class Evaluation(Shape):
    """A history, replayed."""

    history: str
    budget: float
    seeds: int
    observed: str
    mean_napfd: float
    failing_cycles: int
    cycles: dict[str, float]
    policies: dict[str, Interval]
    gains: dict[str, Interval]


class PartsEvaluation(Shape):
    """What parts of the tests, chosen by a confidence, would have found in a history."""

    history: str
    confidence: float
    """The probability that was asked for."""
    failing: int
    """Failing cycles for which there were enough before them to go by."""
    found: int
    """In how many of them the part had a failure."""
    awaited: int
    """Failing cycles before that, of which all tests ran."""
    share: float
    """Of the tests' time, the mean over those failing cycles; 1 where there are none."""


class PartOfTests(Shape):
    """The likeliest tests to fail, by time or confidence."""

    project: str
    selected: list[str]
    """The likeliest first."""
    left_out: list[str]
    seconds: float
    """That the selected tests took when they last ran."""
    all_seconds: float
    earlier_failing_runs: int
    would_have_found: int
    """How many of these such a part would have found."""
    confidence: float
    """The least probability that the next failing run is found, if it is like those."""
    about: str
    """All this, for people."""


class Durations(Shape):
    """What aqe run --report durations=FILE writes: seconds by test."""

    schema_: int
    seconds: dict[str, float]


class Round(Shape):
    """One round of a benchmark."""

    rate: float
    p50_ms: float
    p99_ms: float


class Contender(Shape):
    """Who did the work, and how quickly."""

    kind: str
    operations_per_second: float
    p50_ms: float
    p99_ms: float
    to_driver: float | None
    ours_to_it: float | None
    rounds: list[Round]


class Row(Shape):
    """One kind of work."""

    row: str
    title: str
    compared_by: str
    contenders: dict[str, Contender]


class Benchmark(Shape):
    """What aqe bench --json FILE writes."""

    backend: str
    server: dict[str, Json]
    machine: dict[str, Json]
    entries: int
    rounds: int
    seconds: float
    rows: list[Row]


class Curve(Shape):
    """How one contender's rate goes with what varies."""

    row: str
    contender: str
    points: list[tuple[int, float]]
    """What varies, and operations per second."""


class BenchmarkSweep(Shape):
    """What aqe bench --sweep NAME --json FILE writes."""

    sweep: str
    unit: str
    server: dict[str, Json]
    machine: dict[str, Json]
    rounds: int
    seconds: float
    curves: list[Curve]

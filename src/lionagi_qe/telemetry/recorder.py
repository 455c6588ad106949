"""The one module that speaks to OpenTelemetry: spans, instruments, and trace context in headers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lionagi_qe.extras import DISTRIBUTION
from lionagi_qe.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from contextlib import AbstractContextManager
    from contextvars import Token

    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import SpanContext, TracerProvider

    from lionagi_qe.telemetry.names import JobTraces

SCOPE = "lionagi_qe"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"
# As many as an SDK keeps by default.
MAX_LINKS = 128
# From the semantic conventions; the SDK's own are made for milliseconds.
_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_LONG_SECONDS = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600]
_CALLS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
# Further ones are "other" in metrics, where each would be a time series.
_MAX_LABELS = 100

# What is carried along is the trace alone: baggage may hold anything, and would be stored.
_w3c = TraceContextTextMapPropagator()


def recorder_for(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    job_traces: JobTraces,
) -> Recorder | None:
    """Return what records by these providers, the global ones for None; None if none does."""
    tracers = tracer_provider or trace.get_tracer_provider()
    meters = meter_provider or metrics.get_meter_provider()
    if _does_nothing(tracers) and _does_nothing(meters):
        return None
    return Recorder(tracers, meters, job_traces)


def _does_nothing(provider: object) -> bool:
    """Whether it is one of the API's own: they stand in until somebody sets a real one."""
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


@dataclass(slots=True)
class Recorded:
    """What happens now: its span, and the type of its error if it has failed."""

    span: Span
    error: str | None = None

    def fail(self, error: str) -> None:
        """Tell that it has failed, although nothing is raised."""
        self.error = error
        self.span.set_attribute(names.ERROR_TYPE, error)
        self.span.set_status(Status(StatusCode.ERROR))


class Recorder:
    """Makes spans and records metrics of everything that one set of providers is told.

    Attributes:
        job_traces: see Telemetry.
        db_duration, batch_size, messaging_duration, process_duration, lease_wait, lease_hold,
            run_duration, agent_duration: histograms.
        sent, consumed, leases_lost: counters.
    """

    def __init__(
        self, tracers: TracerProvider, meters: MeterProvider, job_traces: JobTraces
    ) -> None:
        release = version(DISTRIBUTION)
        self.job_traces: JobTraces = job_traces
        self._tracer = tracers.get_tracer(SCOPE, release, schema_url=SCHEMA_URL)
        self._labels: set[str] = set()
        meter = meters.get_meter(SCOPE, release, schema_url=SCHEMA_URL)

        def seconds(name: str, what: str, bounds: list[float] = _SECONDS) -> Histogram:
            return meter.create_histogram(
                name, "s", what, explicit_bucket_boundaries_advisory=bounds
            )

        self.db_duration = seconds(names.DB_DURATION, "Duration of calls of a memory")
        self.batch_size = meter.create_histogram(
            names.BATCH_SIZE,
            "{call}",
            "Calls that shared a request",
            explicit_bucket_boundaries_advisory=_CALLS,
        )
        self.messaging_duration = seconds(names.MESSAGING_DURATION, "Duration of calls of a queue")
        self.sent = meter.create_counter(names.SENT, "{message}", "Jobs put")
        self.consumed = meter.create_counter(names.CONSUMED, "{message}", "Jobs claimed")
        self.process_duration = seconds(
            names.PROCESS_DURATION, "Duration of handlers of jobs", _LONG_SECONDS
        )
        self.lease_wait = seconds(names.LEASE_WAIT, "Time until a lease was acquired")
        self.lease_hold = seconds(
            names.LEASE_HOLD, "Time for which a lease was held", _LONG_SECONDS
        )
        self.leases_lost = meter.create_counter(names.LEASES_LOST, "{lease}", "Leases lost")
        self.run_duration = seconds(names.RUN_DURATION, "Duration of runs", _LONG_SECONDS)
        self.agent_duration = seconds(
            names.AGENT_DURATION, "Duration of agents' examinations", _LONG_SECONDS
        )

    def label(self, name: str) -> str:
        """Return a name as an attribute of metrics; "other" for those beyond the first hundred."""
        if name in self._labels:
            return name
        if len(self._labels) >= _MAX_LABELS:
            return "other"
        self._labels.add(name)
        return name

    @contextmanager
    def span(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: SpanContext | None = None,
        links: Iterable[SpanContext] = (),
        root: bool = False,
        duration: Histogram | None = None,
        labels: Mapping[str, Any] | None = None,
    ) -> Generator[Recorded]:
        """Make the span of what happens in the block, and record how long it took.

        What is raised is told by its type alone: the text may hold keys and values.

        Args:
            name: of few different ones.
            attributes: of the span.
            kind: of the span.
            parent: instead of the current span.
            links: to other spans; the first 128 count.
            root: begin a trace of its own.
            duration: records the seconds.
            labels: attributes of the metric; those of the span if None.

        """
        context = None
        if parent is not None:
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
        elif root:
            context = Context()
        began = time.perf_counter()
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes,
            links_to(links),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            recorded = Recorded(span)
            try:
                yield recorded
            except BaseException as error:
                recorded.fail(type(error).__name__)
                raise
            finally:
                if duration is not None:
                    told = dict(attributes if labels is None else labels)
                    if recorded.error is not None:
                        told[names.ERROR_TYPE] = recorded.error
                    duration.record(time.perf_counter() - began, told)

    def begin(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any]
    ) -> tuple[Span, Token[Context]]:
        """Make a span the current one, until ``end``."""
        span = self._tracer.start_span(name, None, kind, attributes)
        return span, attach(trace.set_span_in_context(span))

    def past(
        self,
        name: str,
        attributes: Mapping[str, Any],
        seconds: float,
        *,
        kind: SpanKind,
        links: Iterable[SpanContext] = (),
    ) -> None:
        """Make the span of what took so many seconds until now."""
        now = time.time_ns()
        span = self._tracer.start_span(
            name, None, kind, attributes, links_to(links), start_time=now - int(seconds * 1e9)
        )
        span.end(now)


def links_to(contexts: Iterable[SpanContext]) -> list[Link]:
    """Return links to spans: as many as an SDK keeps, and none to what is no span."""
    return [Link(context) for context in contexts if context.is_valid][:MAX_LINKS]


def end(span: Span, token: Token[Context]) -> None:
    """End what ``begin`` began."""
    detach(token)
    span.end()


def current_span() -> Span:
    """Return the span that is current; one that records nothing if none is."""
    return trace.get_current_span()


def within(span: Span) -> AbstractContextManager[Span]:
    """Make a span that somebody else ends the current one."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def headers_of(span: Span) -> dict[str, str]:
    """Return ``traceparent`` (and ``tracestate``) of a span, by W3C; {} if it is none."""
    headers: dict[str, str] = {}
    _w3c.inject(headers, trace.set_span_in_context(span))
    return headers


def context_of(headers: Mapping[str, str] | None) -> SpanContext | None:
    """Return the span that headers name; None if they name none."""
    if not headers:
        return None
    context = trace.get_current_span(_w3c.extract(headers, Context())).get_span_context()
    return context if context.is_valid else None

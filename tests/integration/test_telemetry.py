"""What OpenTelemetry is told of memories, queues and leases, on every backend."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.backends import on, url_of

from lionagi_qe import open_memory, open_memory_sync
from lionagi_qe.coordination import Job, Lease, NewJob, WorkQueue
from lionagi_qe.errors import (
    ConfigurationError,
    InvalidValueError,
    RevisionConflictError,
)
from lionagi_qe.persistence.encryption.keys import KeyRing
from lionagi_qe.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from lionagi_qe.persistence import Memory

pytestmark = pytest.mark.integration
SECRET = "do-not-tell"
EVERYWHERE = on("memory", "sqlite", "postgresql", "redis", "cluster")


class Told:
    """What was told to an SDK of its own."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._metrics = InMemoryMetricReader()
        self.meters = MeterProvider([self._metrics])

    def telemetry(self, **settings: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.tracers, meter_provider=self.meters, **settings)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        return [s for s in self._spans.get_finished_spans() if not name or s.name == name]

    def span(self, name: str) -> ReadableSpan:
        (found,) = self.spans(name)
        return found

    def metrics(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Metric -> its points: attributes, and how often (or how much) was recorded."""
        found: dict[str, list[tuple[dict[str, Any], float]]] = defaultdict(list)
        data = self._metrics.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        figure = getattr(point, "count", None) or getattr(point, "value", 0)
                        found[metric.name].append((dict(point.attributes or {}), figure))
        return found

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    yield told
    told.close()


@pytest.fixture
def connect(request: pytest.FixtureRequest, told: Told) -> Callable[..., Memory]:
    """Return what makes memories of one fleet that tell ``told``."""
    url, fleet = url_of(request), f"telemetry-{uuid.uuid4().hex[:12]}"

    def connect(**settings: Any) -> Memory:
        return open_memory(url, **{"fleet": fleet, "telemetry": told.telemetry(), **settings})

    return connect


def everything(told: Told) -> str:
    spans = [(s.name, dict(s.attributes or {}), s.status, s.events) for s in told.spans()]
    return f"{spans} {told.metrics()}"


@pytest.mark.parametrize("connect", EVERYWHERE, indirect=True)
async def test_each_call_is_a_client_span_within_the_caller_s(
    connect: Callable[..., Memory], told: Told
) -> None:
    async with connect() as memory:
        with told.tracers.get_tracer("test").start_as_current_span("ours") as ours:
            await memory.store(f"aqe/{SECRET}", SECRET)
            await memory.retrieve(f"aqe/{SECRET}")
            await memory.increment("aqe/number")
            await memory.search("aqe/*")
            await memory.retrieve_many(["aqe/a", "aqe/b"])
            await memory.scoped("part", read=["aqe/*"]).retrieve("aqe/a")
            with pytest.raises(RevisionConflictError):
                await memory.store(f"aqe/{SECRET}", SECRET, if_revision=0)
        system = memory.capabilities.name
    calls = [span for span in told.spans() if span.kind is SpanKind.CLIENT]
    names = [span.name for span in calls]
    wanted = ["store", "retrieve", "increment", "search", "retrieve_many", "retrieve", "store"]
    # One search may take two requests.
    assert [name for at, name in enumerate(names) if name != "search" or names[at - 1] != name] == (
        wanted
    )
    for span in calls:
        assert span.parent is not None
        assert span.parent.span_id == ours.get_span_context().span_id
        assert span.attributes is not None
        assert span.attributes["db.system.name"] == system
        assert span.attributes["db.operation.name"] == span.name
    refused = calls[-1]
    assert refused.status.status_code is StatusCode.ERROR
    assert (refused.attributes or {})["error.type"] == "RevisionConflictError"
    durations = told.metrics()["db.client.operation.duration"]
    labels = {"db.system.name": system, "db.operation.name": "store"}
    assert (labels, 1) in durations
    assert ({**labels, "error.type": "RevisionConflictError"}, 1) in durations
    assert SECRET not in everything(told)


@pytest.mark.parametrize("connect", EVERYWHERE, indirect=True)
async def test_calls_that_shared_a_request_and_the_request_are_linked(
    connect: Callable[..., Memory], told: Told
) -> None:
    async with connect() as memory:
        await asyncio.gather(*(memory.store(f"aqe/{at}", at) for at in range(40)))
    batches = told.spans("BATCH write")
    calls = {span.context.span_id: span for span in told.spans("store") if span.context}
    assert batches
    for batch in batches:
        assert batch.parent is None
        assert (batch.attributes or {})["db.operation.batch.size"] == len(batch.links) > 1
        for link in batch.links:
            (back,) = calls.pop(link.context.span_id).links
            assert back.context == batch.context
    shared = sum(len(batch.links) for batch in batches)
    assert len(calls) == 40 - shared, "each call belongs to one batch, or was alone"
    sizes = told.metrics()["aqe.batch.size"]
    assert sum(count for _, count in sizes) == len(batches) + len(calls)


@pytest.mark.parametrize("connect", EVERYWHERE, indirect=True)
async def test_a_handler_s_span_links_to_that_of_the_put(
    connect: Callable[..., Memory], told: Told
) -> None:
    async with connect(keys=KeyRing.parse(KeyRing.generate("k"))) as memory:
        queue = WorkQueue(memory, "reviews", backoff=lambda _: 0)
        tracer = told.tracers.get_tracer("test")
        with tracer.start_as_current_span("request"):
            await queue.put({"file": SECRET})
            await queue.put_many([1, NewJob(2)])
            async with memory.transaction() as tx:
                await queue.put("in a transaction", transaction=tx)
        done: list[Any] = []

        async def handle(job: Job) -> None:
            if job.payload == 1 and job.attempt == 1:
                raise ValueError(SECRET)
            with tracer.start_as_current_span("inside"):
                done.append(job.payload)
            if len(done) == 4:
                queue.stop()

        await queue.work(handle, signals=())
    puts = {s.context.span_id: s for s in told.spans() if s.kind is SpanKind.PRODUCER and s.context}
    assert sorted(span.name for span in puts.values()) == [
        "create reviews",
        "put reviews",
        "put_many reviews",
    ]
    handlers = told.spans("process reviews")
    assert len(handlers) == 5
    linked = sorted(puts[link.context.span_id].name for span in handlers for link in span.links)
    assert linked == ["create reviews", "put reviews", *["put_many reviews"] * 3]
    assert all(span.parent is None and span.kind is SpanKind.CONSUMER for span in handlers)
    (failed,) = [span for span in handlers if span.status.status_code is StatusCode.ERROR]
    assert (failed.attributes or {})["error.type"] == "ValueError"
    assert (failed.attributes or {})["messaging.aqe.job.attempt"] == 1
    traces = {span.context.trace_id for span in handlers if span.context}
    within = [*told.spans("inside"), *told.spans("ack reviews"), *told.spans("retry reviews")]
    assert len(within) == 4 + 4 + 1
    assert {span.context.trace_id for span in within if span.context} == traces
    claimed = sum(
        (s.attributes or {})["messaging.batch.message_count"] for s in told.spans("claim reviews")
    )
    assert claimed == 5
    metrics = told.metrics()
    assert sum(figure for _, figure in metrics["messaging.client.sent.messages"]) == 3
    assert sum(figure for _, figure in metrics["messaging.client.consumed.messages"]) == 5
    assert sum(figure for _, figure in metrics["messaging.process.duration"]) == 5
    assert SECRET not in everything(told)


@pytest.mark.parametrize("connect", EVERYWHERE, indirect=True)
async def test_what_is_shown_of_a_job_has_no_headers(connect: Callable[..., Memory]) -> None:
    async with connect() as memory:
        queue = WorkQueue(memory, "shown", max_attempts=1)
        job_id = await queue.put({"a": [1]})
        status = await queue.status(job_id)
        assert status is not None
        assert status.payload == {"a": [1]}
        (job,) = await queue.claim()
        assert job.payload == {"a": [1]}
        assert job.headers["traceparent"].startswith("00-")
        await job.fail("no")
        (dead,) = await queue.dead()
        assert dead.payload == {"a": [1]}
    async with connect(telemetry=False) as memory:
        # Who tells nobody does the jobs of who does; a private memory's are gone by now.
        queue = WorkQueue(memory, "shown")
        again = await queue.retry_dead()
        assert [job.payload for job in await queue.claim()] == [{"a": [1]}] * again


@pytest.mark.parametrize("connect", EVERYWHERE, indirect=True)
async def test_jobs_of_a_schedule_link_to_the_span_that_put_them(
    connect: Callable[..., Memory], told: Told
) -> None:
    async with connect() as memory:
        queue = WorkQueue(memory, "ticks")
        await queue.schedule("tick", cron="* * * * * *", payload=SECRET)
        async for job in queue.consume():
            with job.processing():
                await job.ack()
            break
    handler = told.span("process ticks")
    (link,) = handler.links
    put = {span.context.span_id for span in told.spans("fire ticks") if span.context}
    assert link.context.span_id in put


@pytest.mark.parametrize("connect", on("sqlite", "redis"), indirect=True)
async def test_handlers_may_be_parts_of_the_trace_of_the_put(
    connect: Callable[..., Memory], told: Told
) -> None:
    async with connect(telemetry=told.telemetry(job_traces="parent")) as memory:
        queue = WorkQueue(memory, "reviews")
        await queue.put(1)
        (job,) = await queue.claim()
        with pytest.raises(InvalidValueError), job.processing():
            await job.ack(object())
    put, handler = told.span("put reviews"), told.span("process reviews")
    assert put.context is not None
    assert handler.parent is not None
    assert handler.parent.span_id == put.context.span_id
    assert handler.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("connect", EVERYWHERE, indirect=True)
async def test_a_worker_without_jobs_and_a_held_lease_are_silent(
    connect: Callable[..., Memory], told: Told
) -> None:
    async with connect() as memory:
        async with Lease(memory, "leader", ttl=0.5):
            assert await WorkQueue(memory, "idle").claim(wait=0.6) == []
        names = [span.name for span in told.spans()]
    assert names == ["acquire lease", "release lease"]
    assert (told.span("acquire lease").attributes or {})["aqe.lease.fence"] >= 1
    metrics = told.metrics()
    assert metrics["aqe.lease.wait.duration"] == [({}, 1)]
    assert metrics["aqe.lease.hold.duration"] == [({}, 1)]


async def test_a_lease_that_is_lost_is_counted(told: Told) -> None:
    async with open_memory("memory://", telemetry=told.telemetry()) as memory:
        lease = Lease(memory, "leader", ttl=0.3)
        await lease.acquire()
        await lease.revoke()
        await lease.lost.wait()
    assert told.metrics()["aqe.lease.lost"] == [({}, 1)]


def test_calls_of_threads_without_a_loop_are_within_their_spans(told: Told) -> None:
    with open_memory_sync("memory://", telemetry=told.telemetry()) as memory:
        memory.store("aqe/a", 1)
        with told.tracers.get_tracer("test").start_as_current_span("ours") as ours:
            memory.retrieve("aqe/a")
    assert told.span("store").parent is None
    parent = told.span("retrieve").parent
    assert parent is not None
    assert parent.span_id == ours.get_span_context().span_id


async def test_without_a_provider_that_records_nothing_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AQE_OTEL", "1")
    async with open_memory("memory://") as memory:
        queue = WorkQueue(memory, "plain")
        await asyncio.gather(*(memory.store(f"aqe/{at}", at) for at in range(20)))
        assert len(await memory.list_keys("aqe/")) == 20
        await queue.put(1)
        (job,) = await queue.claim()
        assert job.headers == {}
        await job.ack()


async def test_what_is_logged_of_a_job_has_fields(caplog: pytest.LogCaptureFixture) -> None:
    async with open_memory("memory://") as memory:
        queue = WorkQueue(memory, "reviews", max_attempts=1)
        job_id = await queue.put(1)

        async def handle(_: Job) -> None:
            queue.stop()
            raise ValueError(SECRET)

        await queue.work(handle, signals=())
    (record,) = [record for record in caplog.records if record.exc_info]
    assert {name: value for name, value in vars(record).items() if "." in name} == {
        "messaging.destination.name": "reviews",
        "messaging.message.id": job_id,
        "messaging.aqe.job.attempt": 1,
        "error.type": "ValueError",
    }


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("lionagi_qe.telemetry.settings._global", [])
    open_memory("memory://")
    with pytest.raises(ConfigurationError, match=r"pip install 'aqe-fleet\[otel\]'"):
        open_memory("memory://", telemetry=True)


def test_what_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="job_traces 'both': is 'link' or 'parent'"):
        Telemetry(job_traces="both")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="telemetry 1: is True"):
        open_memory("memory://", telemetry=1)  # type: ignore[arg-type]
    monkeypatch.setenv("AQE_OTEL", "perhaps")
    with pytest.raises(ConfigurationError, match="AQE_OTEL='perhaps': is 1 or 0"):
        open_memory("memory://")

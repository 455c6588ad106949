"""A scheduler that tells OpenTelemetry of each call, and of each request that several shared.

A call is a CLIENT span by the conventions for databases. Calls that share a request have their own
spans, and the request one in a trace of its own: each links to the other. A call that is alone has
no second span. What is asked again and again in the background (leases renewed, queues and logs
looked at, sweeps) has none at all.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from lionagi_qe.persistence.contract.operations import Add, Delete, Learn, Put, Touch
from lionagi_qe.persistence.scheduling.batcher import Batcher
from lionagi_qe.persistence.scheduling.scheduler import Scheduler
from lionagi_qe.telemetry import names
from lionagi_qe.telemetry.recorder import MAX_LINKS, Recorded, SpanKind, current_span, end, within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence
    from contextlib import AbstractContextManager
    from typing import Unpack

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.jobs import TransactionOperations, TransactionResults
    from lionagi_qe.persistence.contract.operations import Operation
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.scheduling.batch import Channel
    from lionagi_qe.persistence.scheduling.scheduler import Life
    from lionagi_qe.telemetry import Telemetry
    from lionagi_qe.telemetry.recorder import Recorder, Span

T = TypeVar("T")
_Arguments = TypeVarTuple("_Arguments")
_CALLS: dict[type, str] = {
    Put: "store",
    Delete: "delete",
    Add: "increment",
    Touch: "touch",
    Learn: "learn",
}


@dataclass(frozen=True, slots=True)
class _Item:
    """What a call asks for, and the span in which it was made."""

    item: Any
    span: Span


class _TracedBatcher(Batcher):
    """A batcher that notes of each call in which span it was made."""

    def submit(
        self,
        channel: Channel,
        item: Any,  # noqa: ANN401 - the backend's
        key: str,
        deadline: float,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Send ``item``; the batcher itself hands it on as it is."""
        noted = item if type(item) is _Item else _Item(item, current_span())
        return super().submit(channel, noted, key, deadline, size)

    def submit_atomic(
        self,
        channel: Channel,
        item: Any,  # noqa: ANN401 - the backend's
        keys: Sequence[str],
        deadline: float,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Send ``item`` by itself."""
        return super().submit_atomic(channel, _Item(item, current_span()), keys, deadline, size)


class _Traces:
    """The spans of one memory's calls and batches."""

    def __init__(self, recorder: Recorder, system: str, fleet: str) -> None:
        self._recorder = recorder
        self._system = system
        self._fleet = fleet
        self._attributes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def call(self, name: str, size: int = 1) -> AbstractContextManager[Any]:
        """Make the span of a call, of so many operations."""
        attributes, labels = self._told_of(name)
        if size > 1:
            attributes = {**attributes, names.DB_BATCH_SIZE: size}
        return self._recorder.span(
            name,
            attributes,
            kind=SpanKind.CLIENT,
            duration=self._recorder.db_duration,
            labels=labels,
        )

    async def told(self, name: str, send: Callable[[], Awaitable[T]]) -> T:
        """Return what a call of one key comes to, which is sent within its span.

        What ``call`` does, without what that costs: it is on the way of every such call.
        """
        attributes, labels = self._told_of(name)
        began = perf_counter()
        span, token = self._recorder.begin(name, SpanKind.CLIENT, attributes)
        try:
            return await send()
        except BaseException as error:
            labels = {**labels, names.ERROR_TYPE: type(error).__name__}
            Recorded(span).fail(type(error).__name__)
            raise
        finally:
            self._recorder.db_duration.record(perf_counter() - began, labels)
            end(span, token)

    def _told_of(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the attributes of a call's span, and of its metric; made once."""
        found = self._attributes.get(name)
        if found is None:
            labels = {names.DB_SYSTEM: self._system, names.DB_OPERATION: name}
            found = self._attributes[name] = {**labels, names.FLEET: self._fleet}, labels
        return found

    def request(self, kind: str, items: Sequence[_Item]) -> AbstractContextManager[Any]:
        """Make the span of a request that calls share; that of a call alone is the call's own."""
        self._recorder.batch_size.record(
            len(items), {names.DB_SYSTEM: self._system, names.DB_OPERATION: kind}
        )
        return within(items[0].span) if len(items) == 1 else self._shared(kind, items)

    def _shared(self, kind: str, items: Sequence[_Item]) -> AbstractContextManager[Any]:
        spans = [item.span for item in items[:MAX_LINKS]]
        attributes = {
            names.DB_SYSTEM: self._system,
            names.DB_OPERATION: "BATCH",
            names.DB_BATCH_SIZE: len(items),
            names.FLEET: self._fleet,
        }
        shared = self._recorder.span(
            f"BATCH {kind}",
            attributes,
            links=[span.get_span_context() for span in spans],
            root=True,
        )
        return _linked(shared, items)


class TracedScheduler(Scheduler):
    """A Scheduler whose calls are told of.

    Whether they are is decided once, when the first call is made: where no provider records
    anything, this becomes a plain Scheduler, and calls cost what they cost without telemetry.

    Args:
        backend: see Scheduler.
        fleet: the memory's.
        telemetry: who is told.
        life: see Scheduler.
    """

    def __init__(
        self,
        backend: Backend,
        fleet: str,
        telemetry: Telemetry,
        **life: Unpack[Life],
    ) -> None:
        super().__init__(backend, fleet, batcher=self._make_batcher, **life)
        self._fleet = fleet
        self._telemetry = telemetry
        self._decided = False
        self._traces: _Traces | None = None

    def _tracing(self) -> _Traces | None:
        if not self._decided:
            self._decided = True
            recorder = self._telemetry.recorder
            if recorder is None:
                # Nothing of what it overrides is on the way of a call any more.
                self.__class__ = Scheduler  # pyright: ignore[reportAttributeAccessIssue]
            else:
                system = self.backend.capabilities.name.removeprefix("hybrid-")
                self._traces = _Traces(recorder, system, self._fleet)
        return self._traces

    def _make_batcher(self) -> Batcher:
        traces = self._tracing()
        if traces is None:
            return Batcher()
        for kind, channel in (
            ("write", self._writes),
            ("jobs", self._jobs),
            ("retrieve", self._payloads),
            ("entry", self._records),
        ):
            channel.execute = _executing(traces, kind, channel.execute)
            channel.execute_atomic = _executing_atomic(channel.execute_atomic)
        return _TracedBatcher()

    # Calls of one key

    def write(
        self,
        key: str,
        encode: Callable[[*_Arguments], Operation],
        deadline: float,
        *arguments: *_Arguments,
    ) -> Awaitable[Any]:
        """Apply what ``encode(*arguments)`` returns."""
        traces = self._tracing()
        sent = super().write
        if traces is None:
            return sent(key, encode, deadline, *arguments)
        name = _CALLS.get(type(arguments[0]), "store") if arguments else "write"
        return traces.told(name, lambda: sent(key, encode, deadline, *arguments))

    def read(self, key: str, deadline: float) -> Awaitable[bytes | str | None]:
        """Read one live value."""
        traces = self._tracing()
        sent = super().read
        if traces is None:
            return sent(key, deadline)
        return traces.told("retrieve", lambda: sent(key, deadline))

    def read_record(self, key: str, deadline: float) -> Awaitable[Record | None]:
        """Read one live entry."""
        traces = self._tracing()
        sent = super().read_record
        if traces is None:
            return sent(key, deadline)
        return traces.told("entry", lambda: sent(key, deadline))

    # Calls of several keys

    async def write_batch(
        self, operations: Sequence[Operation], size: int, deadline: float
    ) -> list[Any]:
        """Apply operations on distinct keys."""
        traces = self._tracing()
        if traces is None or not operations:
            return await super().write_batch(operations, size, deadline)
        name = f"{_CALLS.get(type(operations[0]), 'write')}_many"
        with traces.call(name, len(operations)):
            return await super().write_batch(operations, size, deadline)

    async def transact(
        self, step: TransactionOperations, size: int, deadline: float
    ) -> TransactionResults:
        """Apply operations on distinct entries and jobs."""
        traces = self._tracing()
        if traces is None:
            return await super().transact(step, size, deadline)
        with traces.call("transaction", len(step.operations) + len(step.jobs)):
            return await super().transact(step, size, deadline)

    async def read_batch(self, keys: Sequence[str], deadline: float) -> list[bytes | str | None]:
        """Read live values of distinct keys."""
        traces = self._tracing()
        if traces is None or not keys:
            return await super().read_batch(keys, deadline)
        with traces.call("retrieve_many", len(keys)):
            return await super().read_batch(keys, deadline)

    async def ask(
        self, question: Callable[[Backend], Awaitable[T]], deadline: float, call: str = ""
    ) -> T:
        """Return what the backend answers."""
        traces = self._tracing()
        if traces is None or not call:
            return await super().ask(question, deadline)
        with traces.call(call):
            return await super().ask(question, deadline)

    async def clear_partition(self, partition: str, deadline: float) -> int:
        """Delete what the partition holds now."""
        traces = self._tracing()
        if traces is None:
            return await super().clear_partition(partition, deadline)
        with traces.call("clear_partition"):
            return await super().clear_partition(partition, deadline)


@contextmanager
def _linked(shared: AbstractContextManager[Recorded], items: Sequence[_Item]) -> Generator[None]:
    with shared as told:
        context = told.span.get_span_context()
        if context.is_valid:
            for item in items:
                item.span.add_link(context)
        yield


def _executing(
    traces: _Traces, kind: str, execute: Callable[[list[Any]], Awaitable[Sequence[Any]]]
) -> Callable[[list[Any]], Awaitable[Sequence[Any]]]:
    async def executed(items: list[_Item]) -> Sequence[Any]:
        with traces.request(kind, items):
            return await execute([item.item for item in items])

    return executed


def _executing_atomic(
    execute: Callable[[Any], Awaitable[Any]],
) -> Callable[[Any], Awaitable[Any]]:
    async def executed(item: _Item) -> Any:  # noqa: ANN401 - the backend's
        with within(item.span):
            return await execute(item.item)

    return executed

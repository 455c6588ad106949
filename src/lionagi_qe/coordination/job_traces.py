"""What OpenTelemetry is told of a queue's jobs, by the conventions for messaging.

"send" spans put jobs, and their context is stored with each; "receive" spans claim them; "process"
spans are handlers; "settle" spans end jobs. Each of the latter refers to the span of the ``put``.
Looks that find no job, and extensions of leases, are not told of: an idle worker is silent.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from lionagi_qe.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from contextlib import AbstractContextManager

    from lionagi_qe.persistence.contract.jobs import ClaimedJob, Ending
    from lionagi_qe.telemetry import Telemetry
    from lionagi_qe.telemetry.recorder import Recorded, Recorder

_NO_HEADERS: AbstractContextManager[dict[str, str]] = nullcontext({})
_NOTHING: AbstractContextManager[None] = nullcontext()


class JobTraces:
    """The spans and metrics of one queue; nothing at all if nobody is told.

    Args:
        telemetry: who is told.
        fleet: whose queue it is.
        queue: its name.

    Attributes:
        silent: nobody is told.
    """

    def __init__(self, telemetry: Telemetry | None, fleet: str, queue: str) -> None:
        self._telemetry = telemetry
        # On the way of every job: what asks nothing of us is done without us.
        self.silent = telemetry is None
        self._fleet = fleet
        self._queue = queue

    @property
    def _recorder(self) -> Recorder | None:
        return None if self._telemetry is None else self._telemetry.recorder

    def sending(self, operation: str, count: int = 1) -> AbstractContextManager[dict[str, str]]:
        """Tell that jobs are put within the block; gives the headers to store with them."""
        recorder = self._recorder
        return _NO_HEADERS if recorder is None else self._sending(recorder, operation, count)

    @contextmanager
    def _sending(self, recorder: Recorder, operation: str, count: int) -> Generator[dict[str, str]]:
        from lionagi_qe.telemetry.recorder import SpanKind, headers_of

        attributes, labels = self._told(recorder, operation, "send")
        if count > 1:
            attributes[names.MESSAGE_COUNT] = count
        with recorder.span(
            f"{operation} {labels[names.DESTINATION]}",
            attributes,
            kind=SpanKind.PRODUCER,
            duration=recorder.messaging_duration,
            labels=labels,
        ) as told:
            yield headers_of(told.span)
        recorder.sent.add(count, labels)

    def creating(self) -> AbstractContextManager[dict[str, str]]:
        """Tell that a job is made that a transaction puts later; gives the headers."""
        recorder = self._recorder
        return _NO_HEADERS if recorder is None else self._creating(recorder)

    @contextmanager
    def _creating(self, recorder: Recorder) -> Generator[dict[str, str]]:
        from lionagi_qe.telemetry.recorder import SpanKind, headers_of

        attributes, labels = self._told(recorder, "create", "create")
        name = f"create {labels[names.DESTINATION]}"
        with recorder.span(name, attributes, kind=SpanKind.PRODUCER) as told:
            yield headers_of(told.span)

    def received(self, jobs: Sequence[ClaimedJob], began: float) -> None:
        """Tell that jobs were claimed, by a look that began then (``time.perf_counter``)."""
        recorder = self._recorder
        if recorder is None or not jobs:
            return
        from lionagi_qe.telemetry.recorder import SpanKind, context_of

        attributes, labels = self._told(recorder, "claim", "receive")
        attributes[names.MESSAGE_COUNT] = len(jobs)
        seconds = time.perf_counter() - began
        recorder.past(
            f"claim {labels[names.DESTINATION]}",
            attributes,
            seconds,
            kind=SpanKind.CLIENT,
            links=filter(None, (context_of(job.headers) for job in jobs)),
        )
        recorder.messaging_duration.record(seconds, labels)
        recorder.consumed.add(len(jobs), labels)

    def processing(self, job: ClaimedJob) -> AbstractContextManager[Recorded | None]:
        """Tell that a job is worked at within the block."""
        recorder = self._recorder
        return _NOTHING if recorder is None else self._processing(recorder, job)

    def _processing(self, recorder: Recorder, job: ClaimedJob) -> AbstractContextManager[Recorded]:
        from lionagi_qe.telemetry.recorder import SpanKind, context_of

        attributes, labels = self._told(recorder, "process", "process")
        attributes |= {names.MESSAGE_ID: job.job_id, names.ATTEMPT: job.attempt}
        put = context_of(job.headers)
        continues = put is not None and recorder.job_traces == "parent"
        return recorder.span(
            f"process {labels[names.DESTINATION]}",
            attributes,
            kind=SpanKind.CONSUMER,
            parent=put if continues else None,
            links=[] if put is None else [put],
            root=not continues,
            duration=recorder.process_duration,
            labels=labels,
        )

    def settling(self, job: ClaimedJob, ending: Ending) -> AbstractContextManager[Any]:
        """Tell that a job is ended within the block."""
        recorder = self._recorder
        if recorder is None:
            return _NOTHING
        from lionagi_qe.telemetry.recorder import SpanKind, context_of

        attributes, labels = self._told(recorder, ending, "settle")
        attributes |= {names.MESSAGE_ID: job.job_id, names.ATTEMPT: job.attempt}
        put = context_of(job.headers)
        return recorder.span(
            f"{ending} {labels[names.DESTINATION]}",
            attributes,
            kind=SpanKind.CLIENT,
            links=[] if put is None else [put],
            duration=recorder.messaging_duration,
            labels=labels,
        )

    def _told(
        self, recorder: Recorder, operation: str, kind: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the attributes of a span, and of metrics."""
        labels = {
            names.MESSAGING_SYSTEM: names.SYSTEM,
            names.OPERATION_NAME: operation,
            names.DESTINATION: recorder.label(self._queue),
        }
        attributes = {
            **labels,
            names.OPERATION_TYPE: kind,
            names.DESTINATION: self._queue,
            names.FLEET: self._fleet,
        }
        return attributes, labels

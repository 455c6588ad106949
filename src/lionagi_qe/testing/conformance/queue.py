"""The work queue, whole: the parts can be run apart, to look closer at one."""

from __future__ import annotations

from lionagi_qe.testing.conformance.queue_batches import QueueBatchesConformance
from lionagi_qe.testing.conformance.queue_cancel import QueueCancelConformance
from lionagi_qe.testing.conformance.queue_dependencies import QueueDependenciesConformance
from lionagi_qe.testing.conformance.queue_details import QueueDetailsConformance
from lionagi_qe.testing.conformance.queue_duplicates import QueueDuplicatesConformance
from lionagi_qe.testing.conformance.queue_ending import QueueEndingConformance
from lionagi_qe.testing.conformance.queue_jobs import QueueOrderConformance
from lionagi_qe.testing.conformance.queue_limits import QueueLimitsConformance
from lionagi_qe.testing.conformance.queue_listing import QueueListingConformance
from lionagi_qe.testing.conformance.queue_payloads import QueuePayloadConformance
from lionagi_qe.testing.conformance.queue_schedules import QueueSchedulesConformance
from lionagi_qe.testing.conformance.queue_workers import ConsumerConformance
from lionagi_qe.testing.conformance.transactions import TransactionConformance

__all__ = ["QueueConformance"]


class QueueConformance(
    QueueOrderConformance,
    QueueEndingConformance,
    QueueCancelConformance,
    QueueDuplicatesConformance,
    QueueListingConformance,
    QueueDetailsConformance,
    QueueSchedulesConformance,
    QueueLimitsConformance,
    QueueDependenciesConformance,
    QueueBatchesConformance,
    QueuePayloadConformance,
    ConsumerConformance,
    TransactionConformance,
):
    """Jobs, periodic ones, workers, and steps over jobs and entries."""

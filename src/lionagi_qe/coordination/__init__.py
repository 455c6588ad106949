"""Coordination of agents that share a memory: fenced leases and work queues."""

from __future__ import annotations

from lionagi_qe.coordination.backoff import Backoff, exponential
from lionagi_qe.coordination.job import Job
from lionagi_qe.coordination.lease import Lease, LeaseState
from lionagi_qe.coordination.queue import DeadJob, NewJob, WorkQueue
from lionagi_qe.persistence.jobs import QueueCounts

__all__ = [
    "Backoff",
    "DeadJob",
    "Job",
    "Lease",
    "LeaseState",
    "NewJob",
    "QueueCounts",
    "WorkQueue",
    "exponential",
]

"""Coordination of agents that share a memory: leases, queues, presence, sessions."""

from __future__ import annotations

from lionagi_qe.coordination.backoff import Backoff, exponential
from lionagi_qe.coordination.batch import Batch, BatchJob, BatchProgress
from lionagi_qe.coordination.dead_letters import DeadGroup, DeadJob
from lionagi_qe.coordination.failed_attempts import FailedAttempt
from lionagi_qe.coordination.job import Job
from lionagi_qe.coordination.job_details import JobDetails
from lionagi_qe.coordination.lease import Lease, LeaseState, held_leases
from lionagi_qe.coordination.limits import Limit
from lionagi_qe.coordination.new_job import NewJob
from lionagi_qe.coordination.presence import Member, Movement, Movements, Presence
from lionagi_qe.coordination.queue import WorkQueue
from lionagi_qe.coordination.queue_state import Cancellation, JobPage, JobStatus, ListedJob
from lionagi_qe.coordination.schedules import MISSED, OVERLAP, Missed, Overlap, Schedule
from lionagi_qe.coordination.session import Session
from lionagi_qe.persistence.contract.jobs import QueueCounts

__all__ = [
    "MISSED",
    "OVERLAP",
    "Backoff",
    "Batch",
    "BatchJob",
    "BatchProgress",
    "Cancellation",
    "DeadGroup",
    "DeadJob",
    "FailedAttempt",
    "Job",
    "JobDetails",
    "JobPage",
    "JobStatus",
    "Lease",
    "LeaseState",
    "Limit",
    "ListedJob",
    "Member",
    "Missed",
    "Movement",
    "Movements",
    "NewJob",
    "Overlap",
    "Presence",
    "QueueCounts",
    "Schedule",
    "Session",
    "WorkQueue",
    "exponential",
    "held_leases",
]

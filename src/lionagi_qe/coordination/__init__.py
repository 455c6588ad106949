"""Coordination of agents that share a memory: fenced leases and work queues."""

from __future__ import annotations

from lionagi_qe.coordination.lease import Lease, LeaseState

__all__ = ["Lease", "LeaseState"]

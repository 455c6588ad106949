"""The definition of a memory, as tests: subclass MemoryConformance to try a backend of your own.

A behaviour that matters and isn't tested here doesn't exist. Provide the fixture ``connect``::

    class TestMyMemory(MemoryConformance):
        @pytest.fixture
        def connect(self, tmp_path):
            return lambda **settings: Memory(MyBackend(tmp_path / "store"), **settings)

Needs pytest, pytest-asyncio and hypothesis: ``pip install 'aqe-fleet[testing]'``.
"""

from __future__ import annotations

from lionagi_qe.testing.conformance.base import Connect
from lionagi_qe.testing.conformance.batches import BatchesConformance
from lionagi_qe.testing.conformance.concurrency import ConcurrencyConformance
from lionagi_qe.testing.conformance.default_ttl import DefaultTtlConformance
from lionagi_qe.testing.conformance.entries import EntriesConformance
from lionagi_qe.testing.conformance.expiry import ExpiryConformance
from lionagi_qe.testing.conformance.fleets import FleetsConformance
from lionagi_qe.testing.conformance.lifecycle import LifecycleConformance
from lionagi_qe.testing.conformance.machine import MachineConformance, MemoryMachine
from lionagi_qe.testing.conformance.named_entries import NamedEntriesConformance
from lionagi_qe.testing.conformance.numbers import NumbersConformance
from lionagi_qe.testing.conformance.paging import PagingConformance
from lionagi_qe.testing.conformance.ranges import RangesConformance
from lionagi_qe.testing.conformance.values import ValuesConformance

__all__ = ["Connect", "MemoryConformance", "MemoryMachine"]


class MemoryConformance(  # the parts can be run apart, to look closer at one
    EntriesConformance,
    NumbersConformance,
    ValuesConformance,
    ExpiryConformance,
    DefaultTtlConformance,
    RangesConformance,
    PagingConformance,
    NamedEntriesConformance,
    BatchesConformance,
    FleetsConformance,
    ConcurrencyConformance,
    LifecycleConformance,
    MachineConformance,
):
    """All of it."""

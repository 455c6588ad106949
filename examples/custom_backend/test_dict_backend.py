"""The conformance suite over the example's backend: a class and a fixture are all it takes."""

from __future__ import annotations

from functools import partial

import pytest
from dict_backend import dict_memory

from lionagi_qe.testing.conformance import Connect, MemoryConformance


class TestDictMemory(MemoryConformance):
    @pytest.fixture
    def connect(self) -> Connect:
        return partial(dict_memory, {})

"""The shipped conformance suite over every backend, on real servers."""

from __future__ import annotations

import pytest
from tests.backends import on_every_backend

from lionagi_qe.testing.conformance import MemoryConformance

pytestmark = pytest.mark.integration


globals().update(on_every_backend(MemoryConformance))

"""A pytest plugin that tells how long fixtures take that tests of several files share.

The test that needs one first has it set up, and its setup counts the time. Elsewhere, in a shard
of a CI matrix, it would be another test: so that time is no test's own.

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# As it is before a project's test replaces it.
_now = time.perf_counter
_SCOPES = frozenset(("session", "package"))


class SharedFixtures:
    """Tells ``say`` of each such fixture, but of one that another one asks for while it is made."""

    def __init__(self, say: Callable[[float], None]) -> None:
        self._say = say
        self._is_making = False

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, None, None]:  # noqa: ANN401
        """Measure the setup of one, which may fail."""
        if self._is_making or fixturedef.scope not in _SCOPES:
            yield
            return
        self._is_making = True
        began = _now()
        yield
        self._is_making = False
        self._say(_now() - began)

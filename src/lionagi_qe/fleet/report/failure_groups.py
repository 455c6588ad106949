"""Failing tests, those that say the same together: one cause may fail all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Test = Mapping[str, Any]

MESSAGE_LINES = 6


def failure_groups(tests: Iterable[Test]) -> list[tuple[list[str], list[Test]]]:
    """Return the last lines of a message, and the tests that end with them; most tests first."""
    alike: dict[tuple[str, ...], list[Test]] = {}
    for test in tests:
        if test["outcome"] in BAD:
            alike.setdefault(tuple(last_lines(test["message"])), []).append(test)
    groups = sorted(alike.items(), key=lambda group: -len(group[1]))
    return [(list(message), found) for message, found in groups]


def last_lines(message: str) -> list[str]:
    """Return the last lines of a message that say something."""
    return [line for line in message.splitlines() if line.strip()][-MESSAGE_LINES:]

"""From the phases of a test to the outcome of the whole; imports nothing."""

from __future__ import annotations

BAD = frozenset({"failed", "error", "interrupted"})


def outcome_of(when: str | None, outcome: str, *, xfail: bool) -> str | None:
    """Return what a phase of a test says of the whole; None if it leaves that open.

    Args:
        when: "setup", "call" or "teardown"; plugins that run a test elsewhere say something else of
            one that ended its process, which pytest counts as a failure of the test.
        outcome: of the phase, as pytest reports it.
        xfail: whether the test was expected to fail.

    """
    if outcome == "failed":
        return "error" if when in {"setup", "teardown"} else "failed"
    if outcome == "skipped":
        return "xfailed" if xfail else "skipped"
    if outcome == "passed" and when == "call":
        return "xpassed" if xfail else "passed"
    return None

"""Findings as reports list them."""

from __future__ import annotations

from dataclasses import asdict

from lionagi_qe.agents.finding import COMPLEXITY, Finding, of_details


def test_the_gravest_come_first_and_what_is_alike_stays_by_place() -> None:
    found = [
        Finding("bandit", "1", "B101", "assert", "note", "", "a.py", 1),
        Finding("radon", "6", COMPLEXITY, "complexity", "warning", "", "a.py", 2),
        Finding("detect-secrets", "1", "key", "secret", "warning", "", "b.py", 1),
        Finding("bandit", "1", "B306", "mktemp", "warning", "", "c.py", 1),
        Finding("bandit", "1", "B602", "shell", "error", "", "d.py", 1),
    ]
    ordered = of_details({"findings": [asdict(each) for each in found]})
    assert [each.rule for each in ordered] == ["B602", "key", "B306", COMPLEXITY, "B101"]

"""A model's claims against what was measured: what is true passes, lies and evasions don't."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from lionagi_qe.agents.llm.claims import Claim, check_claim
from lionagi_qe.agents.metric import Source

AREAS = ("aqe/runs/shop/", "aqe/tests/shop/", "aqe/flaky/shop/")
RUN = "aqe/runs/shop/run-1"
SOURCE = Source("coverage.py", "7.10.1", "python -m coverage run", "c0ffee")
GAP = {
    "file": "shop/cart.py",
    "function": "Cart.total",
    "line": 12,
    "missed_lines": [14, 15, 16],
    "lines": 9,
    "missed_branches": 1,
    "complexity": 4,
}
ENTRIES: dict[str, Any] = {
    "line_coverage": asdict(SOURCE.measured("line_coverage", 81.47, "%")),
    "tests_failed": asdict(SOURCE.measured("tests_failed", 0, "tests")),
    "gate": asdict(SOURCE.measured("gate", "failed", "verdict")),
    "gaps": asdict(SOURCE.measured("gaps", [GAP, GAP | {"function": "refund"}], "functions")),
    "mutation_score": asdict(SOURCE.unmeasured("mutation_score", "%", "no time")),
    "test": {
        "id": "tests/test_cart.py::test_total",
        "records": [
            {"run": f"run-{at}", "outcome": outcome, "seconds": 0.25}
            for at, outcome in enumerate(["passed", "failed", "passed", "passed"])
        ],
    },
    "flaky": {
        "id": "tests/test_cart.py::test_total",
        "hunts": [
            {"run": "run-1", "cause": "order", "runs": 20, "failures": 3},
            {"run": "run-2", "cause": None, "runs": 10, "failures": 0},
        ],
    },
}


def objection(text: str, name: str, key: str | None = None) -> str | None:
    claim = Claim(text=text, source=key or f"{RUN}/agent/{name}")
    return check_claim(claim, ENTRIES.get(name), AREAS).objection


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Line coverage is 81.47 %.", "line_coverage"),
        ("Line coverage is 81.5 %.", "line_coverage"),
        ("The line_coverage was 81.47 %, measured by coverage.py 7.10.1.", "line_coverage"),
        ("0 tests failed.", "tests_failed"),
        ("The gate failed.", "gate"),
        ("There are 2 gaps.", "gaps"),
        ("The gap in Cart.total of shop/cart.py has 3 missed lines.", "gaps"),
        ("The gap in Cart.total has 3 missed lines: 14, 15, 16.", "gaps"),
        ("The gap in Cart.total has a complexity of 4.", "gaps"),
        ("The mutation score was not measured.", "mutation_score"),
        ("tests/test_cart.py::test_total failed in 1 of the last 4 runs.", "test"),
        ("tests/test_cart.py::test_total passed 3 of 4.", "test"),
        ("tests/test_cart.py::test_total failed in 3 of 30 runs.", "flaky"),
    ],
)
def test_what_was_measured_may_be_said(text: str, name: str) -> None:
    assert objection(text, name) is None


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("Line coverage is 100 %.", "line_coverage", "says 100"),
        ("Line coverage is 81 %.", "line_coverage", "says 81"),
        ("Line coverage is 82.0 %.", "line_coverage", "says 82.0"),
        ("Line coverage is one hundred percent.", "line_coverage", "'one'"),
        ("Line coverage is complete.", "line_coverage", "'complete'"),
        ("Line coverage is not 81.47 %.", "line_coverage", "'not'"),
        ("Line coverage isn't 81.47 %.", "line_coverage", "n't"),
        ("Line coverage is more than 81.47 %.", "line_coverage", "'more'"),
        ("Branch coverage is 81.47 %.", "line_coverage", "does not say 'line'"),
        ("81.47 % is excellent.", "line_coverage", "does not say 'line coverage'"),
        ("Line coverage is excellent.", "line_coverage", "nothing that can be checked"),
        ("Line coverage is 81.47 % thanks to test_everything.", "line_coverage", "test_everything"),
        ("Line coverage is 81.47 % by `made up`.", "line_coverage", "`made up`"),
        ("Line coverage was not measured.", "line_coverage", "was measured"),
        ("All tests passed, failed: 0.", "tests_failed", "'All'"),
        ("The gate passed.", "gate", "does not say 'failed'"),
        ("There are 12 gaps.", "gaps", "12 gaps"),
        ("The gap in Cart.total has 12 missed lines.", "gaps", "12 missed"),
        ("The gap in Cart.total has 16 missed lines.", "gaps", "16 missed"),
        ("The gap in Cart.pay has 3 missed lines.", "gaps", "Cart.pay"),
        ("The mutation score is 95 %.", "mutation_score", "not measured"),
        ("tests/test_cart.py::test_total failed in 4 of 4 runs.", "test", "failed in 4"),
        ("tests/test_cart.py::test_total passed 4 of 4.", "test", "passed 4"),
        ("tests/test_cart.py::test_ghost failed in 1 of 4.", "test", "names"),
        ("tests/test_cart.py::test_total failed in 30 of 30 runs.", "flaky", "failed in 30"),
        ("tests/test_cart.py::test_total failed in 3 of 300 runs.", "flaky", "300"),
        ("Line coverage is 81.47 %. " * 20, "line_coverage", "too long"),
    ],
)
def test_what_was_not_measured_is_told_apart(text: str, name: str, said: str) -> None:
    assert said in str(objection(text, name))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("nothing", f"{RUN}/coverage-analyzer/line_coverage"),
        # Where models write.
        ("line_coverage", "aqe/notes/mender/line_coverage"),
        # Another project's.
        ("line_coverage", "aqe/runs/shop-2/run-1/coverage-analyzer/line_coverage"),
        ("line_coverage", "not even a key"),
    ],
)
def test_a_source_that_is_none_supports_nothing(name: str, key: str) -> None:
    assert "no measurement" in str(objection("Line coverage is 81.47 %.", name, key))


def test_the_fact_beside_a_claim_is_in_our_words() -> None:
    claim = Claim(text="Line coverage is 100 %.", source=f"{RUN}/coverage-analyzer/line_coverage")
    checked = check_claim(claim, ENTRIES["line_coverage"], AREAS)
    assert checked.fact == "line_coverage = 81.47 %  [coverage.py 7.10.1]"
    facts = {
        name: check_claim(Claim(text="x", source=f"{RUN}/a/{name}"), value, AREAS).fact
        for name, value in ENTRIES.items()
    }
    assert facts["gaps"] == "gaps = 2 functions  [coverage.py 7.10.1]"
    assert facts["mutation_score"] == "mutation_score: not measured: no time"
    assert facts["test"] == (
        "tests/test_cart.py::test_total: 1 failed, 3 passed of the last 4 runs"
    )
    assert facts["flaky"] == "tests/test_cart.py::test_total: failed 3 of 30 runs in 2 hunts"

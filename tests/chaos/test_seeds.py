"""A short seed on each backend keeps all promises; ``make chaos`` runs many, and longer ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from tests.chaos.fault_plan import BACKENDS, Plan
from tests.chaos.page import written
from tests.chaos.seeds import Result, run_seeds

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 2.5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "redis", "cluster", "hybrid"])
async def test_a_seed_of_faults_breaks_no_promise(backend: str, tmp_path: Path) -> None:
    [result] = await run_seeds(backend, [Plan.draw(1, backend, SECONDS)], tmp_path)
    kept = tmp_path / f"{backend}-1" / "judgement.txt"
    assert not result.failed, kept.read_text()
    assert result.calls["ok"] > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_means_one_plan_that_can_be_kept(backend: str) -> None:
    plan = Plan.draw(7, backend, 6)
    assert plan == Plan.draw(7, backend, 6) != Plan.draw(8, backend, 6)
    assert Plan.from_json(plan.as_json()) == plan
    assert all(fault.begins < 6 for fault in plan.faults)


def test_the_page_tells_of_each_seed_what_came_of_it_last() -> None:
    def result(seed: int, **more: int) -> Result:
        calls = {"ok": 10, "info": 2, "fail": 1}
        faults = {"kill": 1}
        return Result(
            "redis", seed, 6, "2026-11-29", "Redis 8", 9, calls, faults, 5, 0, more, commit="1a2b"
        )

    page = written([result(1, **{"stale read": 1}), result(1), result(2), result(4)])
    assert (
        "| redis | Redis 8 | 1a2b | 2026-11-29 | 1-2, 4 | none | 39 | 6 | 3 | 3 | 15 | 0 | 18 |"
        in page
    )
    assert json.loads(json.dumps(asdict(result(1))))["seed"] == 1

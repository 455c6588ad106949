"""A memory with something of all that the console shows; some of it means ill."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.metric import Source
from lionagi_qe.coordination import Lease, NewJob, Presence, WorkQueue
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.run_record import RunRecord, RunRecords

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe.persistence import Memory

PLANTED = "<script>document.title='planted'</script><img src=x onerror=alert(1)>\u202eevil"
PASSWORD = "hunter2"
PROJECT = "shop"
RUNS = [f"2026080{day}T101500.000000Z-00000{day}" for day in range(1, 7)]
OPEN_RUN = "20260807T101500.000000Z-000007"
TESTS = {
    "tests/test_cart.py::test_total": "PPPPPP",
    "tests/test_cart.py::test_discount": "PPPFFF",
    "tests/test_pay.py::test_refund[EUR]": "PFPPFP",
    f"tests/test_text.py::test_markup[{PLANTED}]": "PPPPPP",
}
_GAPS = [
    {"file": f"src/{name}.py", "function": name, "line": 7, "missed_lines": [8], "lines": 2}
    for name in ("total", PLANTED)
]
_OUTCOMES = {"P": "passed", "F": "failed"}
_FOR_THE_TEST = 3_600.0


@asynccontextmanager
async def seeded(memory: Memory) -> AsyncGenerator[None]:
    """Fill a memory; leases and presence last as long as the block."""
    await fill(memory)
    async with (
        Lease(memory, "deployer", ttl=_FOR_THE_TEST, holder="ci-7"),
        Lease(memory, f"lease {PLANTED[:40]}", ttl=_FOR_THE_TEST, holder=PLANTED),
        Presence(memory, "tester-7", info={"doing": "reviews", "model": PLANTED}),
        Presence(memory, OPEN_RUN, group="runs"),
    ):
        yield


async def fill(memory: Memory) -> None:
    """Store entries, jobs and runs."""
    await memory.store_many(
        {
            **{f"aqe/plans/v{at:02}": {"step": at, "owner": "tester-7"} for at in range(60)},
            "aqe/settings/database": {"url": f"postgresql://app:{PASSWORD}@db/shop"},
            f"aqe/notes/{PLANTED.replace('/', ' ')[:60]}".replace("\u202e", ""): PLANTED,
        }
    )
    await memory.store("aqe/sessions/7", {"user": "ann"}, ttl=_FOR_THE_TEST, partition="sessions")
    if not memory.capabilities.encrypted:
        await memory.index("notes", "aqe/notes/*")
        await memory.index("settings", "aqe/settings/*", fields=["url"])
        await memory.refresh_index("notes")
    await _put_jobs(memory)
    await _record_runs(memory)


def _raised(text: str) -> TimeoutError:
    try:
        raise TimeoutError(text)  # noqa: TRY301 - it needs a traceback
    except TimeoutError as error:
        return error


async def _put_jobs(memory: Memory) -> None:
    queue = WorkQueue(memory, "reviews", max_attempts=1)
    for at in range(3):
        await queue.put({"file": f"src/broken_{at}.py", "note": PLANTED})
        (job,) = await queue.claim()
        await job.fail(_raised(f"no answer after {at + 30} s from https://bot:{PASSWORD}@api.test"))
    await queue.put({"file": "src/done.py"})
    (job,) = await queue.claim()
    await job.ack({"verdict": PLANTED})
    await queue.put({"file": "src/slow.py"})
    (job,) = await queue.claim(lease_ttl=_FOR_THE_TEST)
    await job.progress({"done": 3, "of": 10})
    await queue.put_many([NewJob({"file": f"src/m{at}.py"}, priority=at % 3) for at in range(60)])
    await queue.put({"file": "src/later.py"}, delay=_FOR_THE_TEST)
    batch = await WorkQueue(memory, "batched").batch([{"of": 1}, {"of": 2}], then=PLANTED)
    await WorkQueue(memory, "batched").cancel((await batch.jobs())[0].id)
    await queue.schedule("nightly", cron="0 3 * * *", timezone="Europe/Berlin", payload=PLANTED)
    await WorkQueue(memory, PLANTED[:60]).put("hostile")


async def _record_runs(memory: Memory) -> None:
    history = RunHistory(memory, PROJECT)
    source = Source("pytest", "8.3", "pytest -q", "0123abc")
    for at, run in enumerate(RUNS):
        tests = [
            {"id": name, "outcome": _OUTCOMES[course[at]], "seconds": 0.1 + at / 100}
            for name, course in TESTS.items()
        ]
        failed = sum(test["outcome"] == "failed" for test in tests)
        executor = Findings(
            "test-executor",
            (
                source.measured("tests_collected", len(tests), "tests"),
                source.measured("tests_failed", failed, "tests"),
            ),
            details={"tests": tests},
        )
        coverage = Findings(
            "coverage-analyzer",
            (
                source.measured("line_coverage", 80.0 + at, "%"),
                source.measured("gaps", [*_GAPS[: at % 2 + 1]], "functions"),
            ),
        )
        findings: dict[str, Any] = {each.agent: each for each in (executor, coverage)}
        await history.record(run, findings, {})
    await RunRecords(memory, PROJECT).keep(_record())
    # What is no result, where results are looked for.
    await memory.store_many(
        {
            f"aqe/tests/{PROJECT}/junk": 5,
            f"aqe/tests/{PROJECT}/junk-2": {"id": PLANTED, "records": [{"run": 1}]},
            f"aqe/tests/{PROJECT}/junk-3": {"id": PLANTED, "records": []},
            f"aqe/tests/{PROJECT}/junk-4": {
                "id": PLANTED,
                "records": [{"run": [1], "outcome": [PLANTED], "seconds": PLANTED}],
            },
            f"aqe/flaky/{PROJECT}/junk": {"hunts": 7},
            f"aqe/runs/{PROJECT}/{RUNS[-1]}/junk/junk": PLANTED,
            f"aqe/runs/{PROJECT}/{RUNS[-1]}/junk/junk-2": {"name": PLANTED},
            f"aqe/work/{PROJECT}/junk/record": PLANTED,
            f"aqe/work/{PROJECT}/junk-2/record": {"agents": [PLANTED, 7, None]},
            "aqe/presence/agents/junk": PLANTED,
        }
    )
    root = f"aqe/work/{PROJECT}/{OPEN_RUN}"
    agents = ["test-executor", "coverage-analyzer", "static-analyzer", "quality-gate"]
    await memory.store(f"{root}/record", {"run": OPEN_RUN, "agents": agents})
    await memory.store(f"{root}/results/test-executor", {"seconds": 1.5, "spent": 2.0})


def _record() -> RunRecord:
    """Return what the last run found: failures in two groups."""
    groups = [
        {
            "tests": ["tests/test_cart.py::test_discount"],
            "message": f"AssertionError: {PLANTED} of https://bot:{PASSWORD}@shop.test",
            "before": {
                "runs": RUNS[3:5],
                "commit": "0123abc",
                "gone": {"run": RUNS[4], "commit": "4567def", "commits": 1},
            },
        },
        {
            "tests": ["tests/test_pay.py::test_refund[EUR]"] * 30,
            "message": "TimeoutError: no answer",
            "before": None,
        },
    ]
    executor = Findings("test-executor", (), details={"failure_groups": groups})
    return RunRecord(
        run=RUNS[-1],
        project=PROJECT,
        path="/home/ann/shop",
        commit="0123abc",
        at="2026-08-06T10:15:00+00:00",
        python="3.11",
        origin="uv",
        scope=["src"],
        scope_origin="what the build ships",
        findings={"test-executor": executor},
        comparison=None,
        left_out=[],
        notes=[],
        sources={},
    )

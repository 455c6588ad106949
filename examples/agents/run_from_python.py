"""Examine a project from Python: ``python run_from_python.py PATH``, what ``aqe run PATH`` does."""

from __future__ import annotations

import asyncio
import sys

from lionagi_qe.fleet import Step, examine


def tell(step: Step) -> None:
    print(f"{step.agent}: {step.text}", file=sys.stderr)


async def main(path: str) -> int:
    outcome = await examine(path, settings={"min_coverage": 50}, progress=tell)
    for name in ("tests_passed", "tests_failed", "line_coverage", "gate"):
        metric = outcome.metric(name)
        if metric is None or not metric.measured:
            print(f"{name}: not measured: {metric and metric.reason}")
        else:
            print(f"{name}: {metric.value} {metric.unit}, by {metric.tool} {metric.version}")
    for gap in outcome.detail("coverage-analyzer", "gaps")[:3]:
        print(f"no test runs {gap['file']} {gap['function']}")
    gate = outcome.metric("gate")
    return 0 if gate is not None and gate.value == "passed" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))

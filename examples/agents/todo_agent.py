"""An agent of one's own in a run: it counts what the code says is yet to be done.

``python todo_agent.py PATH`` runs it beside ours. For ``aqe run --agents todo-counter``, a package
that is installed beside the fleet names the class in its metadata::

    [project.entry-points."lionagi_qe.agents"]
    todo-counter = "todo_agent:TodoCounter"
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe.fleet import (
    Agent,
    Examination,
    Finding,
    Findings,
    Source,
    Step,
    examine,
    fingerprinted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TODO = re.compile(r"#\s*(TODO|FIXME)\b:?\s*(.*)")


class TodoCounter(Agent):
    # As in the keys of its figures, and as --agents names it.
    name: ClassVar[str] = "todo-counter"
    # Whose findings it reads: they run before it, if they run. Without those of ``needs`` it has
    # nothing to do, so that they come along.
    after: ClassVar[tuple[str, ...]] = ("test-executor",)
    needs: ClassVar[tuple[str, ...]] = ()
    # Every figure that it states, with its unit; each is measured or says why not.
    metrics: ClassVar[Mapping[str, str]] = {"todos": "comments"}

    async def examine(self, examination: Examination) -> Findings:
        workspace = examination.workspace
        source = Source("todo-counter", "1.0", None, workspace.commit)
        found: list[Finding] = []
        # A copy of the project: what is changed here is lost with it.
        for path in sorted(workspace.source.rglob("*.py")):
            examination.progress(Step(self.name, f"reading {path.name}"))
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            for number, line in enumerate(lines, 1):
                if (match := TODO.search(line)) is not None:
                    file = path.relative_to(workspace.source).as_posix()
                    message = match[2] or "no word on what"
                    kind, place = match[1], (file, number)
                    found.append(
                        Finding("todo-counter", "1.0", kind, kind, "note", message, *place)
                    )
        findings = fingerprinted(found, workspace.source)
        return Findings(
            self.name,
            (source.measured("todos", len(findings), "comments"),),
            # Under this name, reports show them at their places.
            {"findings": [asdict(finding) for finding in findings]},
        )


async def main(path: str) -> None:
    outcome = await examine(
        path,
        agents=["coverage-analyzer", "quality-gate", TodoCounter()],
        # A gate on its figure, as on any other.
        settings={"fail_on": ["todos > 100"]},
    )
    for name in ("todos", "gate"):
        if (metric := outcome.metric(name)) is not None:
            print(f"{name}: {metric.value} {metric.unit}, by {metric.tool} {metric.version}")
    for finding in outcome.detail("todo-counter", "findings"):
        print(f"  {finding['file']}:{finding['line']} {finding['message']}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""Serves the project's app in a process of its own, and has schemathesis hold it to its schema."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.finding import Finding, Level, fingerprinted
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.scan import Scan, details_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Examination

TOOL = "schemathesis"
_TOOLS = ("schemathesis>=4.32", "uvicorn>=0.34")
_NOT_NAMED = 'the project names no app: api = "MODULE:APP" in [tool.aqe]'
# In which it is to answer that it is there.
_START_SECONDS = 30
_FAILED = 1
_LEVELS: dict[str, Level] = {"critical": "error", "high": "error", "medium": "warning"}
_HELP = "https://schemathesis.readthedocs.io/en/stable/reference/checks/"
_MOST_NAMED = 5


class ApiContractTester(Agent):
    """Requests that the schema of an ASGI or WSGI app allows, and some that it does not.

    Generated the same way each time, so that a failure comes back until it is mended. Settings of
    schemathesis itself, authentication say, are the project's ``schemathesis.toml``.
    """

    name: ClassVar[str] = "api-contract-tester"
    metrics: ClassVar[Mapping[str, str]] = {
        "api_failures": "failures",
        "api_operations": "operations",
        "api_operations_tested": "operations",
        "api_cases": "requests",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Test the app in a copy of the project; it never runs in this process."""
        settings, workspace = examination.settings, examination.workspace
        if settings.api is None:
            return self.unmeasured(Source(TOOL, None, None, workspace.commit), _NOT_NAMED)

        def tell(text: str) -> None:
            examination.progress(Step(self.name, text))

        environment = await examination.environment.with_tools(_TOOLS, workspace, tell)
        tell(f"testing {settings.api}")
        with workspace.fork("api") as fork:
            within = environment.within(fork)
            target = fork.artifacts / "api.json"
            words = [
                *("--generation-deterministic", "--max-examples", str(settings.api_examples)),
                *("--continue-on-failure", "--wait-for-schema", str(_START_SECONDS)),
            ]
            shown = shlex.join([TOOL, "run", settings.api_schema, *words])
            overlays = os.pathsep.join(map(str, within.tool_overlays))
            quiet = ["--report", "json", "--report-json-path", str(target)]
            completed = await process.run(
                within.command(
                    "aqe_serve", settings.api, overlays, settings.api_schema, *words, *quiet
                ),
                cwd=fork.source,
                env=within.variables(fork, settings.pass_env) | {"NO_PROXY": "127.0.0.1"},
                log=fork.artifacts / "api.log",
                timeout=examination.seconds(settings.timeout),
            )
            report = _read(target)
        release = None if report is None else report.get("schemathesis_version")
        source = Source(TOOL, release, shown, workspace.commit)
        reason = _why_not(
            completed, report, workspace.shown(fork.shown(_complaint(completed.output)))
        )
        if reason is not None or report is None:
            told = self.unmeasured(source, str(reason))
            return Findings(self.name, told.metrics, details_of([Scan(source, reason=reason)], ()))
        return self._told(examination, source, report)

    def _told(
        self, examination: Examination, source: Source, report: Mapping[str, Any]
    ) -> Findings:
        operations, cases = report["operations"], report["test_cases"]
        file = _file_of(examination.workspace.pristine, str(examination.settings.api))
        found = tuple(_findings(source, report, file))
        values = {
            "api_failures": cases["unique_failures"],
            "api_operations": operations["selected"],
            "api_operations_tested": operations["tested"],
            "api_cases": cases["generated"],
        }
        return Findings(
            self.name,
            tuple(
                source.measured(name, value, self.metrics[name]) for name, value in values.items()
            ),
            details_of([Scan(source)], fingerprinted(found, examination.workspace.pristine)),
            tuple(_notes(report)),
        )


def _read(target: Path) -> dict[str, Any] | None:
    try:
        return json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # It was stopped before it wrote it, or while it did.
        return None


def _complaint(output: str) -> str:
    """Return what schemathesis, or the app as it was imported, complained of, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(Failed|Error|\w+Error|Exit)\b", line)]
    return " / ".join(telling[:3] or lines[-3:])[:500]


def _why_not(
    completed: process.Completed, report: Mapping[str, Any] | None, said: str
) -> str | None:
    """Return why nothing was measured, if so."""
    if report is None or completed.exit_code not in {0, _FAILED}:
        return f"schemathesis {completed.how}: {said or 'it said nothing'}"
    if not report["operations"]["tested"]:
        return f"no operation of the schema was tested: {said}"
    return None


def _findings(source: Source, report: Mapping[str, Any], file: str) -> Iterator[Finding]:
    for failure in report["failures"]:
        for operation in failure["operations"]:
            yield Finding(
                source.tool,
                str(source.version),
                failure["code"],
                failure["type"],
                _LEVELS.get(failure["severity"], "note"),
                f"{operation}: {failure['title']}",
                file,
                url=_HELP,
                fingerprint=f"{operation} {failure['type']}",
            )


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    operations = report["operations"]
    left = operations["selected"] - operations["tested"]
    if left or operations["errored"]:
        yield (
            f"{left} operations of the API were not tested, and {operations['errored']} ended with "
            "an error of the test itself"
        )
    for kind, told in report["warnings"].items():
        if told:
            named = ", ".join(str(each) for each in told[:_MOST_NAMED])
            yield f"schemathesis warns of {kind.replace('_', ' ')}: {named}"


def _file_of(project: Path, spec: str) -> str:
    """Return the file of the module that has the app, else the settings that name it."""
    parts = spec.partition(":")[0].split(".")
    for root in (project, project / "src"):
        for path in (
            root.joinpath(*parts).with_suffix(".py"),
            root.joinpath(*parts, "__init__.py"),
        ):
            if path.is_file():
                return path.relative_to(project).as_posix()
    return "pyproject.toml"

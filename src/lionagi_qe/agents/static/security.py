"""What bandit finds in the product's code, which it parses and doesn't run."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.finding import Finding, Level
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.layout import TEST_FILES, layout_of
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.scan import Scan, failure_of, release_of, run_beside

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Examination

BANDIT = "bandit"
_BANDIT_FOUND = 1
_LEVELS: dict[str, Level] = {"HIGH": "error", "MEDIUM": "warning", "LOW": "note"}
# Rules whose messages quote the password that they found.
_QUOTES = frozenset({"B105", "B106", "B107"})


async def bandit(examination: Examination) -> Scan:
    """Scan the product's code, tests left out: these assert, and use throw-away passwords."""
    pristine = examination.workspace.pristine
    names = examination.environment.layout.names
    layout = layout_of(pristine, names).only(names)
    targets = [path.relative_to(pristine).as_posix() for path in layout.packages + layout.modules]
    excluded = ",".join(f"*/{pattern.removeprefix('**/')}" for pattern in TEST_FILES)
    excluded = excluded.replace("/**", "/*")
    arguments = ["-q", "-r", *targets, "-x", excluded]
    if "bandit" in read_pyproject(pristine).get("tool", {}):
        arguments += ["-c", "pyproject.toml"]
    if not targets:
        source = Source(BANDIT, release_of(BANDIT), None, examination.workspace.commit)
        return Scan(source, reason="no package or module found")
    target = examination.workspace.scans / "bandit.json"
    quiet = ["-f", "json", "-o", str(target)]
    scan, completed = await run_beside(examination, BANDIT, "bandit", arguments, quiet)
    if completed is None:
        return scan
    if completed.exit_code not in {0, _BANDIT_FOUND} or not target.exists():
        return Scan(scan.source, reason=failure_of(BANDIT, completed))
    report = json.loads(target.read_text(encoding="utf-8"))
    return Scan(
        scan.source,
        tuple(_of_bandit(issue) for issue in report["results"]),
        unread=tuple((_relative(each["filename"]), each["reason"]) for each in report["errors"]),
    )


def _of_bandit(issue: dict[str, Any]) -> Finding:
    message: str = issue["issue_text"]
    if issue["test_id"] in _QUOTES:
        message = message.partition(":")[0]
    lines: list[int] = issue["line_range"]
    return Finding(
        BANDIT,
        version(BANDIT),
        issue["test_id"],
        issue["test_name"],
        _LEVELS.get(issue["issue_severity"], "warning"),
        f"{message} (severity {issue['issue_severity'].lower()}, "
        f"confidence {issue['issue_confidence'].lower()})",
        _relative(issue["filename"]),
        issue["line_number"],
        max([*lines, issue["line_number"]]),
        issue["more_info"],
    )


def _relative(name: str) -> str:
    return Path(name).as_posix().removeprefix("./")

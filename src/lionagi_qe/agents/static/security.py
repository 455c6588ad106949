"""What bandit and detect-secrets find; they parse or read files, and run nothing of the project."""

from __future__ import annotations

import json
import re
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
DETECT_SECRETS = "detect-secrets"
_BANDIT_FOUND = 1
_LEVELS: dict[str, Level] = {"HIGH": "error", "MEDIUM": "warning", "LOW": "note"}
# Rules whose messages quote the password that they found.
_QUOTES = frozenset({"B105", "B106", "B107"})


async def bandit(examination: Examination) -> Scan:
    """Scan the product's code, tests left out: these assert, and use throw-away passwords."""
    pristine = examination.workspace.pristine
    layout = layout_of(pristine).only(examination.environment.layout.names)
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


async def detect_secrets(examination: Examination) -> Scan:
    """Scan every file of the project; nothing is tried out over the network."""
    arguments = ["scan", "--all-files", "--no-verify"]
    scan, completed = await run_beside(examination, DETECT_SECRETS, "detect_secrets", arguments)
    if completed is None:
        return scan
    said = (examination.workspace.scans / f"{DETECT_SECRETS}.log").read_bytes()
    if completed.exit_code != 0:
        return Scan(scan.source, reason=failure_of(DETECT_SECRETS, completed))
    try:
        report = json.loads(said)
    except ValueError:
        return Scan(scan.source, reason=f"{DETECT_SECRETS} printed no JSON: {completed.output!r}")
    found = [secret for secrets in report["results"].values() for secret in secrets]
    return Scan(scan.source, tuple(_of_secret(secret) for secret in found))


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


def _of_secret(secret: dict[str, Any]) -> Finding:
    kind: str = secret["type"]
    return Finding(
        DETECT_SECRETS,
        version(DETECT_SECRETS),
        re.sub(r"\W+", "-", kind).strip("-").lower(),
        kind,
        "warning",
        f"Possible secret: {kind}",
        _relative(secret["filename"]),
        secret["line_number"],
        secret["line_number"],
        "https://github.com/Yelp/detect-secrets",
        fingerprint=secret["hashed_secret"],
    )


def _relative(name: str) -> str:
    return Path(name).as_posix().removeprefix("./")

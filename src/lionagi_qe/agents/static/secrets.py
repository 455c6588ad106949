"""What detect-secrets finds in the files of a project; nothing is tried out over the network."""

from __future__ import annotations

import asyncio
import json
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.kept_results import KeptResults, digest_of, kept_path
from lionagi_qe.agents.finding import Finding
from lionagi_qe.agents.scan import Scan, failure_of, release_of, run_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.agents.base import Examination

    # Name of a file -> the secrets in it, as the tool tells them.
    Found = Mapping[str, list[dict[str, Any]]]

DETECT_SECRETS = "detect-secrets"
# Of more files the names may be too long for a command.
_MOST_NAMED = 2000
# The copy's repository is ours.
_NOT_OURS = r"^\.git/"


async def detect_secrets(examination: Examination) -> Scan:
    """Scan every file of the project that changed since the last run: it takes seconds for a MB."""
    workspace, pristine = examination.workspace, examination.workspace.pristine
    kept = KeptResults(kept_path(workspace, None, "secrets"), release_of(DETECT_SECRETS) or "")
    digests = await asyncio.to_thread(_digests, pristine)
    known = {name: kept.of(digest) for name, digest in digests.items()}
    changed = [name for name, found in known.items() if found is None]
    scan, found = await _scanned(examination, changed)
    if found is None:
        return scan
    for name in changed:
        known[name] = [_of(secret) for secret in found.get(name, ())]
        kept.add(digests[name], known[name])
    kept.keep()
    findings = [_finding(name, secret) for name, secrets in known.items() for secret in secrets]
    return Scan(scan.source, tuple(findings))


async def _scanned(examination: Examination, names: list[str]) -> tuple[Scan, Found | None]:
    """Return what the tool says of some files; None if it says nothing, and why."""
    shown = ["scan", "--all-files", "--no-verify"]
    which = [f"./{name}" for name in names]
    if len(which) > _MOST_NAMED:
        which = ["--exclude-files", _NOT_OURS]
    scan, completed = await run_beside(
        examination, DETECT_SECRETS, "detect_secrets", shown, which, needless=not names
    )
    if completed is None:
        return scan, {} if scan.reason is None else None
    if completed.exit_code != 0:
        return Scan(scan.source, reason=failure_of(DETECT_SECRETS, completed)), None
    said = (examination.workspace.scans / f"{DETECT_SECRETS}.log").read_bytes()
    try:
        results: Found = json.loads(said)["results"]
    except ValueError:
        reason = f"{DETECT_SECRETS} printed no JSON: {completed.output!r}"
        return Scan(scan.source, reason=reason), None
    return scan, {Path(name).as_posix(): secrets for name, secrets in results.items()}


def _digests(pristine: Path) -> dict[str, str]:
    return {name: digest_of(pristine / name, f"{name}\0") for name in _files(pristine)}


def _files(pristine: Path) -> Iterable[str]:
    """Yield the names of files; what links lead to in the project is among them by its own name."""
    for folder, directories, files in os.walk(pristine):
        directories[:] = sorted(name for name in directories if name != ".git")
        for name in sorted(files):
            path = Path(folder, name)
            if not path.is_symlink():
                yield path.relative_to(pristine).as_posix()


def _of(secret: dict[str, Any]) -> dict[str, Any]:
    return {name: secret[name] for name in ("type", "hashed_secret", "line_number")}


def _finding(name: str, secret: dict[str, Any]) -> Finding:
    kind: str = secret["type"]
    return Finding(
        DETECT_SECRETS,
        version(DETECT_SECRETS),
        re.sub(r"\W+", "-", kind).strip("-").lower(),
        kind,
        "warning",
        f"Possible secret: {kind}",
        name,
        secret["line_number"],
        secret["line_number"],
        "https://github.com/Yelp/detect-secrets",
        fingerprint=secret["hashed_secret"],
    )

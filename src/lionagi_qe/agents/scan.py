"""What a kept tool found when it looked, or why it did not look; and how such a tool is run."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.metric import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.finding import Finding

_TIMEOUT = 300.0
# As python -m does; the tests, which mostly run meanwhile, go first where processors are few.
_YIELDING = (
    "import os, runpy, sys; os.nice(5); del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
# What is told in lines is not to be broken into several.
_COLUMNS = "1000"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a tool found, or why it did not look.

    Attributes:
        source: the tool and its call.
        findings: in the tool's order, without fingerprints.
        reason: why nothing was measured, if so.
        unread: file -> why the tool could not read it.
    """

    source: Source
    findings: tuple[Finding, ...] = ()
    reason: str | None = None
    unread: tuple[tuple[str, str], ...] = ()


def details_of(scans: Iterable[Scan], findings: Iterable[Finding]) -> dict[str, Any]:
    """Return the details by which reports know of findings and of the tools behind them."""
    return {
        "findings": [asdict(finding) for finding in findings],
        "tools": [
            {"tool": scan.source.tool, "version": scan.source.version}
            | {"command": scan.source.command, "reason": scan.reason}
            for scan in scans
        ],
    }


async def run_beside(  # noqa: PLR0913 - a process has that many sides
    examination: Examination,
    tool: str,
    module: str,
    arguments: Sequence[str],
    quiet: Sequence[str] = (),
    *,
    brings: str | None = None,
    cwd: Path | None = None,
    network: bool = False,
    reads: Sequence[Path] = (),
    needless: bool = False,
) -> tuple[Scan, process.Completed | None]:
    """Run a tool of the fleet's own environment; None if it is not installed, or has no work.

    Args:
        examination: whose pristine copy it looks at.
        tool: its distribution, whose version is told.
        module: as in ``python -m``.
        arguments: of the module, told to people.
        quiet: further ones, of which people need not know.
        brings: the extra of ours that installs it; None for those of every fleet.
        cwd: where it runs; by default the pristine copy, from where it writes to ``scans`` alone.
        network: it has to look something up, and may do so where the project's code may not.
        reads: what it reads beside that copy.
        needless: what it would say is known: it isn't run.

    """
    workspace = examination.workspace
    release = release_of(tool)
    shown = shlex.join([tool, *map(workspace.shown, arguments)])
    source = Source(tool, release, shown if release else None, workspace.commit)
    if release is None:
        wanted = f"'aqe-fleet[{brings}]'" if brings else tool
        reason = f"{tool} is not installed beside aqe: python -m pip install {wanted}"
        return Scan(source, reason=reason), None
    if needless:
        return Scan(source), None
    # What the project's own programs, which may run at the same time, can't write to.
    place = workspace.scans if cwd is None else workspace.artifacts
    # -I: a module of the project that is called as one of the tool's must not be imported.
    completed = await process.run(
        [sys.executable, "-I", "-c", _YIELDING, module, *arguments, *quiet],
        cwd=workspace.pristine if cwd is None else cwd,
        env=process.allowed_environment(_NETWORK if network else ())
        | {"HOME": str(place), "NO_COLOR": "1", "COLUMNS": _COLUMNS},
        log=place / f"{tool}.log",
        timeout=examination.seconds(_TIMEOUT),
        installs=[place] if network else None,
        reads=reads,
    )
    return Scan(source), completed


# What it takes to reach other machines from here.
_NETWORK = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
)


def release_of(tool: str) -> str | None:
    """Return the version of a distribution that is installed beside us; None if it is not."""
    try:
        return version(tool)
    except PackageNotFoundError:
        return None


def failure_of(tool: str, completed: process.Completed) -> str:
    """Return how a tool ended that should have ended otherwise, with the last that it said."""
    said = completed.output.strip().splitlines()
    return f"{tool} {completed.how}: {said[-1].strip() if said else 'it said nothing'}"

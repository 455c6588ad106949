"""What coverage.py measured, as files and as plain data: the tests may have run elsewhere.

The measured process itself writes coverage.py's report when its tests have ended: Python and
coverage.py need not be started once more for it. Whether that was all of it, ``reported`` tells.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.agents.coverage.settings import DATA_FILE, write_rcfile
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.environment.kept_results import keep, kept_path
from lionagi_qe.files import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination, Findings
    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.workspace import Workspace

# The detail that tells why the data don't say which test ran which line, if so.
UNMAPPED = "unmapped"


def collected(workspace: Workspace) -> dict[str, Any]:
    """Return the data files of a test run in this workspace, and where the code was."""
    files = sorted(workspace.artifacts.glob(f"{DATA_FILE}*"))
    return {
        "source": str(workspace.source),
        "files": {file.name: base64.b64encode(file.read_bytes()).decode() for file in files},
    }


def report_path(workspace: Workspace) -> Path:
    """Return where the measured process writes coverage.py's JSON report."""
    return workspace.artifacts / "coverage.json"


def contexts_path(workspace: Workspace) -> Path:
    """Return where it writes which test ran which line, if asked for; see ``aqe_contexts``."""
    return _beside_report(workspace, "contexts")


def bring_earlier_report(workspace: Workspace, environment: Environment) -> None:
    """Lay the report of the last run where the next one is written, which then takes less time."""
    kept = kept_path(workspace, environment, "report")
    with contextlib.suppress(OSError):
        shutil.copy(kept, _beside_report(workspace, "earlier"))


async def merge(
    examination: Examination, into: Workspace, shards: Sequence[Workspace], timeout: float
) -> str | None:
    """Make one data file and one report of what sessions side by side have measured.

    Args:
        examination: of the project.
        into: whose artifacts get them.
        shards: where each session ran.
        timeout: most seconds.

    Returns:
        Why they may not be what one session would have measured, if so.

    """
    for number, shard in enumerate(shards):
        for file in shard.artifacts.glob(f"{DATA_FILE}.*"):
            shutil.move(
                file, into.artifacts / file.name.replace(DATA_FILE, f"{DATA_FILE}.{number}")
            )
    environment = examination.environment
    bring_earlier_report(into, environment)
    places = [str(shard.source) for shard in shards]
    rcfile, report = write_rcfile(into, environment, *places), report_path(into)
    completed = await process.run(
        environment.command("aqe_coverage", str(rcfile), str(report), "merge"),
        cwd=into.source,
        env=environment.variables(into) | ({"AQE_CONTEXTS": "1"} if examination.wants_map else {}),
        log=into.artifacts / "merge.log",
        timeout=timeout,
    )
    if completed.exit_code != 0 or not reported(into):
        said = into.shown(completed.output).strip().splitlines()
        return f"coverage combine {completed.how}: {said[-1] if said else 'without a report'}"
    files: Mapping[str, Any] = orjson.loads(report.read_bytes())["files"]
    # A file that only one of the copies has can't be translated.
    strangers = [name for name in files if name.startswith(tuple(f"{place}/" for place in places))]
    return f"{strangers[0]} is in one session's copy alone" if strangers else None


def keep_report(workspace: Workspace, environment: Environment, report: bytes) -> None:
    """Keep a report for the next run, in the cache directory; see ``inject/aqe_report``."""
    keep(kept_path(workspace, environment, "report"), report)


def reported(workspace: Workspace) -> bool:
    """Whether the measured process wrote a report, and it is of all data that there are now.

    It is not where the process was stopped, or a child of it wrote data after the report.
    """
    done = _done(workspace)
    if done is None:
        return False
    files = workspace.artifacts.glob(f"{DATA_FILE}*")
    stats = {file.name: file.stat() for file in files}
    return done["parts"] == {
        name: [status.st_size, status.st_mtime_ns] for name, status in stats.items()
    }


def report_seconds(workspace: Workspace) -> float:
    """Return how long the measured process took for the report, which is no time of the tests."""
    done = _done(workspace)
    return 0.0 if done is None else done["seconds"]


def exit_code_before_report(workspace: Workspace) -> int | None:
    """Return the exit code of the tests if the measured process came to the report, else None."""
    try:
        return int(_beside_report(workspace, "begun").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def move(measured_in: Workspace, workspace: Workspace) -> None:
    """Take over what was measured in another place, in place of all that was measured here."""
    forget(workspace)
    for pattern in (f"{DATA_FILE}*", f"{report_path(workspace).name}*"):
        for file in measured_in.artifacts.glob(pattern):
            file.rename(workspace.artifacts / file.name)


def forget(workspace: Workspace) -> None:
    """Delete all that was measured in this workspace."""
    for pattern in (f"{DATA_FILE}*", f"{report_path(workspace).name}*"):
        for file in workspace.artifacts.glob(pattern):
            file.unlink()


def _done(workspace: Workspace) -> dict[str, Any] | None:
    try:
        return json.loads(_beside_report(workspace, "done").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        # The process was stopped while it wrote.
        return None


def _beside_report(workspace: Workspace, kind: str) -> Path:
    return workspace.artifacts / f"{report_path(workspace).name}.{kind}"


def put_in_place(examination: Examination, tests: Findings | None) -> None:
    """Let coverage.py find the data of a test run that was not in this workspace."""
    workspace = examination.workspace
    carried = {} if tests is None else tests.details.get("coverage", {})
    if not carried or carried["source"] == str(workspace.source):
        return
    for name, content in carried["files"].items():
        (workspace.artifacts / check_name(name)).write_bytes(base64.b64decode(content))
    if carried["files"]:
        bring_earlier_report(workspace, examination.environment)
    places = [carried["source"]] if isinstance(carried["source"], str) else carried["source"]
    write_rcfile(workspace, examination.environment, *places)


def of_shards(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what ``collected`` told of the shards of a test run, as if it were of one."""
    return {
        "source": list(dict.fromkeys(part["source"] for part in parts)),
        "files": {
            # Two machines may have given their files one name.
            name.replace(DATA_FILE, f"{DATA_FILE}.{number}", 1): content
            for number, part in enumerate(parts)
            for name, content in part["files"].items()
        },
    }

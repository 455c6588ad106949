"""Files of a project that is a part of its repository, as CI servers count them: from the top."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from tests.report.recorded_run import recorded_run

from lionagi_qe.agents.finding import of_details
from lionagi_qe.agents.project.version_control import place_in_repository
from lionagi_qe.fleet.report.annotations import as_annotations
from lionagi_qe.fleet.report.code_quality import as_code_quality
from lionagi_qe.fleet.report.sarif import as_sarif

if TYPE_CHECKING:
    from pathlib import Path

PLACE = "packages/ä shop/"


def test_the_place_is_told_by_git_and_the_top_has_none(tmp_path: Path) -> None:
    project = tmp_path / PLACE
    project.mkdir(parents=True)
    assert place_in_repository(project) == ""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert place_in_repository(tmp_path) == ""
    assert place_in_repository(project) == PLACE


def test_reports_for_ci_servers_name_files_from_the_top_of_the_repository() -> None:
    kept = recorded_run().record
    # As the run itself has it, before it is kept.
    record: Any = replace(cast("Any", kept), at=datetime(2026, 1, 1, tzinfo=UTC))
    for found in record.findings.values():
        names = {finding.tool for finding in of_details(found.details)}
        about = {"version": "1", "command": None, "reason": None}
        found.details["tools"] = [{"tool": name, **about} for name in sorted(names)]
    files = {place.partition(",")[0] for place in as_annotations(record, PLACE).split("file=")[1:]}
    issues = json.loads(as_code_quality(record, PLACE))
    log = json.loads(as_sarif(record, PLACE))
    results = [result for run in log["runs"] for result in run["results"]]
    uris = {
        unquote(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for result in results
    }
    assert files
    assert uris
    for file in files | uris | {issue["location"]["path"] for issue in issues}:
        assert file.startswith(PLACE), file
    categories = {run["automationDetails"]["id"].rpartition("/")[0] for run in log["runs"]}
    assert len(categories) == len(log["runs"]), "each replaces nothing of the others"
    assert all(unquote(each).endswith(PLACE.rstrip("/")) for each in categories)

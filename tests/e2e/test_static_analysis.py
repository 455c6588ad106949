"""What is found by reading the code, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.e2e.conftest import STOREFRONT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

STATIC = ("--agents", "static-analyzer")
SCHEMA = Path(__file__).with_name("sarif-2.1.0-rtm.5.json")
DANGEROUS = {
    "shop.py": """
        import hashlib

        def digest(data):
            return hashlib.md5(data).hexdigest()
    """,
    "settings.ini": """
        [aws]
        key = AKIAIOSFODNN7REALKEY
    """,
    "tests/test_shop.py": """
        import hashlib

        def test_digest():
            assert hashlib.md5(b"").hexdigest()
    """,
}


def sarif(path: Path) -> dict[str, Any]:
    log = json.loads(path.read_text())
    jsonschema.validate(log, json.loads(SCHEMA.read_text()))
    return {run["tool"]["driver"]["name"]: run for run in log["runs"]}


def test_the_storefronts_two_flaws_are_found_and_nothing_else(
    examine: Examine, tmp_path: Path
) -> None:
    answer = examine(STOREFRONT, *STATIC, "--report", f"sarif={tmp_path / 'r.sarif'}")

    runs = sarif(tmp_path / "r.sarif")
    (tangled,) = runs["radon"]["results"]
    assert tangled["message"]["text"].startswith("shipping_cost has 25 independent paths")
    grave = [each for each in runs["bandit"]["results"] if each["level"] != "note"]
    (shell,) = grave
    assert shell["ruleId"] == "B602"
    location = shell["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "examples/storefront/src/storefront/export.py"
    assert location["region"]["startLine"] == 25
    assert runs["detect-secrets"]["results"] == []
    assert answer.value("static_findings_new") == 2
    assert answer.exit_code == 0


def test_a_dangerous_call_and_a_secret_are_found_outside_tests(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    answer = examine(project(DANGEROUS), *STATIC, "--report", f"sarif={tmp_path / 'r.sarif'}")

    assert answer.value("security_findings") == 1
    assert answer.value("secrets") == 1
    found = {finding["rule"]: finding for finding in answer.document["findings"]}
    assert (found["B324"]["file"], found["B324"]["line"]) == ("shop.py", 4)
    assert (found["aws-access-key"]["file"], found["aws-access-key"]["line"]) == ("settings.ini", 2)
    assert "AKIA" not in answer.out + (tmp_path / "r.sarif").read_text()


def test_secrets_are_looked_for_in_what_changed_and_told_of_all_files(
    examine: Examine, project: Write
) -> None:
    root = project(DANGEROUS)
    examine(root, *STATIC)
    (root / "more.ini").write_text((root / "settings.ini").read_text())
    (root / "moved.ini").symlink_to("settings.ini")
    more = examine(root, *STATIC)
    again = examine(root, *STATIC)
    (root / "settings.ini").write_text("[aws]\n")
    less = examine(root, *STATIC)

    def places(answer: Answer) -> set[str]:
        return {each["file"] for each in answer.document["findings"] if "aws" in each["rule"]}

    assert places(more) == places(again) == {"settings.ini", "more.ini"}
    assert (more.value("secrets"), again.value("secrets"), less.value("secrets")) == (2, 2, 1)
    assert places(less) == {"more.ini"}
    assert again.figure("secrets")["tool"] == "detect-secrets"


def test_known_findings_are_told_apart_wherever_their_lines_move(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project(DANGEROUS)
    examine(root, *STATIC, "--write-baseline", tmp_path / "baseline.json")
    shop = "import hashlib\nPRICE = 1\n\n" + (root / "shop.py").read_text().partition("\n")[2]
    (root / "shop.py").write_text(f"{shop}\n\ndef sign(data):\n    return hashlib.sha1(data)\n")
    (root / "known.json").write_text((tmp_path / "baseline.json").read_text())
    (root / "pyproject.toml").write_text('[tool.aqe]\nbaseline = "known.json"\n')

    reports = f"sarif={tmp_path / 'r.sarif'},gitlab={tmp_path / 'quality.json'}"
    answer = examine(root, *STATIC, "--report", reports)

    # As GitLab documents the form; what the baseline lists isn't in it.
    (issue,) = json.loads((tmp_path / "quality.json").read_text())
    assert issue["check_name"].startswith("bandit B324")
    assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
    assert issue["location"] == {"path": "shop.py", "lines": {"begin": 10}}
    assert issue["fingerprint"]
    assert answer.value("static_findings_known") == 2
    assert answer.value("static_findings_new") == 1
    results = sarif(tmp_path / "r.sarif")["bandit"]["results"]
    assert ["suppressions" in result for result in results] == [True, False]


@pytest.mark.parametrize(
    ("baseline", "complaint"),
    [
        (None, "can't be read"),
        ("{", "is no baseline"),
        ('{"schema": 9, "known": {}}', "of schema 9"),
    ],
)
def test_a_baseline_that_is_none_is_refused_before_anything_runs(
    examine: Examine, project: Write, baseline: str | None, complaint: str
) -> None:
    files = {**DANGEROUS, "pyproject.toml": '[tool.aqe]\nbaseline = "known.json"\n'}
    if baseline is not None:
        files["known.json"] = baseline

    answer = examine(project(files), *STATIC)

    assert (answer.exit_code, answer.out) == (2, "")
    assert complaint in answer.err


def test_a_file_that_can_not_be_parsed_is_named(examine: Examine, project: Write) -> None:
    answer = examine(project({**DANGEROUS, "broken.py": "def broken(:\n"}), *STATIC)

    assert answer.value("security_findings") == 1
    notes = "\n".join(answer.document["notes"])
    assert "radon did not read broken.py" in notes
    assert "bandit did not read broken.py" in notes


def test_modules_of_the_project_do_not_hide_those_of_the_tools(
    examine: Examine, project: Write
) -> None:
    trap = "raise SystemExit('imported')\n"
    names = ("yaml", "bandit", "json", "requests", "detect_secrets")
    answer = examine(project({**DANGEROUS, **{f"{name}.py": trap for name in names}}), *STATIC)

    assert answer.value("security_findings") == 1
    assert answer.value("secrets") == 1


def test_the_gate_fails_on_what_it_is_told_to(examine: Examine, project: Write) -> None:
    agents = ("--agents", "static-analyzer,quality-gate")
    root = project(DANGEROUS)

    answer = examine(root, *agents, "--fail-on", "secrets > 0")
    rulings = {ruling["rule"]: ruling for ruling in answer.document["gate"]}
    assert rulings["not secrets > 0"]["verdict"] == "failed"
    assert "by detect-secrets" in rulings["not secrets > 0"]["detail"]
    assert answer.exit_code == 1
    missing = examine(root, *agents, "--fail-on", "line_coverage < 50")
    assert missing.exit_code == 4
    assert "no agent of this run measures it" in missing.reason("gate")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--fail-on", "secrets"), "is no rule; write METRIC"),
        (("--fail-on", "speed > 1"), "unknown; known: "),
        (("--agents", "oracle"), "agent 'oracle': unknown; known: test-executor, "),
        (("--report", "pdf=x"), "--report pdf=x: write one of html=DIR, json=FILE, "),
        (("--report", "md=no-such-directory/x"), "its directory does not exist"),
        (("--budget", "soon"), "is no time above 0"),
    ],
)
def test_wrong_use_is_one_clear_line(
    examine: Examine, project: Write, arguments: tuple[str, ...], complaint: str
) -> None:
    answer = examine(project({"test_a.py": "def test_a(): pass\n"}), "--quiet", *arguments)

    assert complaint in answer.err
    assert answer.err.count("\n") == 1
    assert answer.exit_code == 2

"""``make audit`` says of dependencies that nothing is known of them only where it looked."""

from __future__ import annotations

import json
from typing import Any

from tests.audit import NOT_MEASURED, PASSED, VULNERABLE, verdict

OWN = {"name": "aqe-fleet", "skip_reason": "Dependency not found on PyPI"}
CLEAN = {"name": "orjson", "version": "3.11.4", "vulns": []}
UNKNOWN = {"name": "redis", "skip_reason": "Dependency not found on PyPI and could not be audited"}
BAD = {
    "name": "jinja2",
    "version": "2.4.1",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": []}],
}


def told(*packages: Any, complaints: str = "") -> tuple[int, str]:
    code, lines = verdict(json.dumps({"dependencies": packages, "fixes": []}), complaints)
    return code, "\n".join(lines)


def test_what_was_looked_at_and_has_nothing_passes() -> None:
    assert told(OWN, CLEAN) == (PASSED, "known vulnerabilities: 0 in 1 packages")


def test_a_package_that_could_not_be_looked_up_is_not_measured() -> None:
    code, text = told(OWN, CLEAN, UNKNOWN)
    assert code == NOT_MEASURED
    assert "not measured for 1 of 2 packages, of which the source knows nothing: redis" in text


def test_a_source_that_knows_no_package_is_no_clean_bill() -> None:
    many = [{**UNKNOWN, "name": f"p{number}"} for number in range(9)]
    code, text = told(OWN, *many)
    assert code == NOT_MEASURED
    assert text.startswith("known vulnerabilities: not measured for 9 of 9 packages")
    assert text.endswith("p0, p1, p2, p3, p4 and 4 more")
    assert told(OWN)[0] == NOT_MEASURED


def test_what_is_known_fails_whatever_else_was_skipped() -> None:
    code, text = told(CLEAN, BAD, UNKNOWN)
    assert code == VULNERABLE
    assert "jinja2 2.4.1: PYSEC-2019-217, mended in 2.10.1" in text
    assert "not measured for 1 of 3" in text


def test_no_answer_is_not_measured_with_the_reason() -> None:
    code, lines = verdict("", "Traceback\nConnectionError: no route to pypi.org")
    assert code == NOT_MEASURED
    assert lines == [
        "known vulnerabilities: not measured: pip-audit: ConnectionError: no route to pypi.org"
    ]

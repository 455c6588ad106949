"""Known vulnerabilities, held against pip-audit called by hand on the same environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.e2e.planted import advisories, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

AUDIT = ("--agents", "dependency-auditor")
LOCAL = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
# Name -> what is wrong with it, whatever the version.
ADVISORIES = {
    "idna": [{"id": "PYSEC-0-1", "aliases": ["CVE-0-1"]}, {"id": "PYSEC-0-2"}],
    "iniconfig": [{"id": "PYSEC-0-3"}],
}
SHOP = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "audited-shop"
        version = "1"
        dependencies = [
            "idna>=3",
        ]

        [tool.aqe]
        vulnerability-service = "{url}"
    """,
    "audited_shop/__init__.py": "import idna\n",
}


@pytest.fixture
def service() -> Iterator[str]:
    with advisories(lambda name: ADVISORIES.get(name, [])) as url:
        yield url


def shop(url: str) -> dict[str, str]:
    return SHOP | {"pyproject.toml": SHOP["pyproject.toml"].replace("{url}", url)}


def test_planted_vulnerabilities_are_those_of_pip_audit_by_hand_with_their_places(
    examine: Examine, project: Write, service: str, tmp_path: Path, cache: Path
) -> None:
    rules = ("--fail-on", "vulnerable_runtime_dependencies > 0")

    answer = examine(project(shop(service)), *AUDIT, *rules, env=LOCAL)

    (site,) = (
        folder
        for folder in cache.glob("aqe/environments/*/lib/python*/site-packages")
        if [*folder.glob("audited_shop-1.dist-info")] and [*folder.glob("idna-*.dist-info")]
    )
    words = ("-s", "osv", "--osv-url", service, "--path", site, "-f", "json")
    told = plain("pip_audit", *words, "--progress-spinner", "off", cwd=tmp_path, env=LOCAL)
    by_hand = {each["name"]: each for each in json.loads(told.stdout)["dependencies"]}
    del by_hand["audited-shop"]
    found = {(each["rule"], each["file"], each["line"]) for each in answer.document["findings"]}
    assert answer.value("vulnerabilities") == sum(len(each["vulns"]) for each in by_hand.values())
    assert answer.value("vulnerable_dependencies") == 2
    assert answer.value("vulnerable_runtime_dependencies") == 1
    assert answer.value("dependencies_audited") == len(by_hand)
    assert found == {
        ("PYSEC-0-1", "pyproject.toml", 9),
        ("PYSEC-0-2", "pyproject.toml", 9),
        ("PYSEC-0-3", "pyproject.toml", None),
    }


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://127.0.0.1:9/v1/query", "pip-audit ended with exit code 1"), ("pypi", "")],
)
def test_a_service_that_can_not_be_asked_is_a_reason_and_never_zero(
    examine: Examine, project: Write, url: str, reason: str
) -> None:
    # Whatever network there is: nothing on that port answers as PyPI does, if anything.
    unreachable = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}

    answer = examine(project(shop(url)), *AUDIT, "--require", "vulnerabilities", env=unreachable)

    for name in ("vulnerable_dependencies", "vulnerabilities", "dependencies_audited"):
        assert reason in answer.reason(name)
    assert answer.document["findings"] == []

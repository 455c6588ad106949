"""Known vulnerabilities, held against pip-audit called by hand on the same environment."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.planted import plain

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
        name = "shop"
        version = "1"
        dependencies = [
            "idna>=3",
        ]

        [tool.aqe]
        vulnerability-service = "{url}"
    """,
    "shop/__init__.py": "import idna\n",
}


class Service(BaseHTTPRequestHandler):
    """Answers as OSV does."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        package = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": []}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        vulns = [
            {"summary": "planted", "affected": [package | {"ranges": ranges}], **each}
            for each in ADVISORIES.get(name, [])
        ]
        answer = json.dumps({"vulns": vulns} if vulns else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


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
        if [*folder.glob("shop-1.dist-info")] and [*folder.glob("idna-*.dist-info")]
    )
    words = ("-s", "osv", "--osv-url", service, "--path", site, "-f", "json")
    told = plain("pip_audit", *words, "--progress-spinner", "off", cwd=tmp_path, env=LOCAL)
    by_hand = {each["name"]: each for each in json.loads(told.stdout)["dependencies"]}
    del by_hand["shop"]
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

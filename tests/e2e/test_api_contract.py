"""What an API does against its schema, held against schemathesis called by hand on a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

API = ("--agents", "api-contract-tester")
# Whatever server the schema names: nothing but the app is asked.
SCHEMA = """
    import json

    ANSWER = {"200": {"description": "ok", "content": {"application/json": {"schema": {
        "type": "object", "required": ["price"], "properties": {"price": {"type": "integer"}}}}}}}
    SCHEMA = {
        "openapi": "3.0.3",
        "info": {"title": "shop", "version": "1"},
        "servers": [{"url": "https://shop.invalid/"}],
        "paths": {
            "/price": {"get": {"responses": ANSWER}},
            "/stock": {"get": {"responses": ANSWER}},
            "/open": {"get": {"responses": ANSWER}},
        },
    }

    def answer(path):
        if path == "/openapi.json":
            return 200, SCHEMA
        if path == "/price":
            return 200, {"price": "much"}
        if path == "/stock":
            return 500, {}
        return (200, {"price": 1}) if path == "/open" else (404, {})
"""
ASGI = {
    "pyproject.toml": """
        [tool.aqe]
        api = "shop.app:app"
        api-examples = 5
    """,
    "shop/__init__.py": "",
    "shop/schema.py": SCHEMA,
    "shop/app.py": """
        import json
        from shop.schema import answer

        async def app(scope, receive, send):
            if scope["type"] != "http":
                raise RuntimeError("no lifespan")
            status, body = answer(scope["path"])
            if scope["method"] != "GET":
                status, body = 405, {}
            headers = [(b"content-type", b"application/json"), (b"allow", b"GET")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})
    """,
}
WSGI = {
    **ASGI,
    "pyproject.toml": ASGI["pyproject.toml"].replace("app:app", "app:make()"),
    "shop/app.py": """
        import json
        from shop.schema import answer

        def make():
            def app(environ, start_response):
                status, body = answer(environ["PATH_INFO"])
                if environ["REQUEST_METHOD"] != "GET":
                    status, body = 405, {}
                headers = [("Content-Type", "application/json"), ("Allow", "GET")]
                start_response("%d it" % status, headers)
                return [json.dumps(body).encode()]

            return app
    """,
}
BY_HAND = """
import sys, uvicorn
from shop import app
uvicorn.run(app.app, port=0, log_level="info", access_log=False)
"""


def by_hand(root: Path, cache: Path, tmp_path: Path) -> set[tuple[str, str]]:
    """Return operation and code of each failure, with the app served by hand."""
    (tool,) = (path for path in cache.glob("aqe/tools/*") if (path / "schemathesis").is_dir())
    env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tool}", "PYTHONDONTWRITEBYTECODE": "1"}
    env["NO_PROXY"] = "127.0.0.1"
    command = [sys.executable, "-c", BY_HAND]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        origin = next(found[0] for line in lines if (found := re.search(r"http://\S+:\d+", line)))
        words = ["--origin", origin, "--generation-deterministic", "--max-examples", "5"]
        words += ["--continue-on-failure", "--report", "json"]
        words += ["--report-json-path", str(tmp_path / "own.json")]
        run = [sys.executable, "-m", "schemathesis.cli", "run", f"{origin}/openapi.json", *words]
        subprocess.run(run, env=env, cwd=tmp_path, check=False, capture_output=True)
        server.terminate()
        server.stderr.read()
    told = json.loads((tmp_path / "own.json").read_text())
    return {(name, each["code"]) for each in told["failures"] for name in each["operations"]}


def failures(answer: Answer) -> set[tuple[str, str]]:
    found = answer.document["findings"]
    return {(each["message"].partition(":")[0], each["rule"]) for each in found}


def test_an_asgi_app_fails_where_schemathesis_says_so_by_hand(
    examine: Examine, project: Write, cache: Path, tmp_path: Path
) -> None:
    root = project(ASGI)

    answer = examine(root, *API, "--fail-on", "api_failures > 0")

    expected = by_hand(root, cache, tmp_path)
    assert failures(answer) == expected
    assert {name for name, _ in expected} == {"GET /price", "GET /stock"}
    assert answer.value("api_failures") == len(expected)
    assert (answer.value("api_operations"), answer.value("api_operations_tested")) == (3, 3)
    assert {each["file"] for each in answer.document["findings"]} == {"shop/app.py"}


def test_a_wsgi_app_from_a_factory_fails_as_the_same_app_by_asgi(
    examine: Examine, project: Write
) -> None:
    answer = examine(project(WSGI), *API)

    assert {name for name, _ in failures(answer)} == {"GET /price", "GET /stock"}
    assert answer.value("api_operations_tested") == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("app:app", "app:none"), "has no attribute 'none'"),
        (("app:app", "nowhere:app"), "No module named 'shop.nowhere'"),
        (('api = "shop.app:app"', 'api = "shop.app:app"\napi-schema = "/none"'), "404"),
        (('api = "shop.app:app"', ""), "the project names no app"),
    ],
)
def test_an_api_that_can_not_be_asked_is_a_reason_and_never_zero(
    examine: Examine, project: Write, change: tuple[str, str], reason: str
) -> None:
    root = project(ASGI)
    settings = root / "pyproject.toml"
    settings.write_text(settings.read_text().replace(*change))

    answer = examine(root, *API)

    assert reason in answer.reason("api_failures")
